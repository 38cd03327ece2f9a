//! Verifies signatures of tokens (RFC 7515) with the keys that an issuer publishes (RFC 7517). The
//! algorithms are those of `ring`, without symmetric ones and `none`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

/// The published keys of an issuer.
#[derive(Debug, Deserialize)]
pub(super) struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood. This crate knows none.
    crit: Option<serde_json::Value>,
}

enum Algorithm {
    Rsa(&'static RsaParameters),
    Curve(&'static str, &'static dyn VerificationAlgorithm),
}

impl JwkSet {
    /// Verifies that one of the keys has signed `token`. Fails with the reason why not.
    pub(super) fn verify(&self, token: &str) -> Result<(), &'static str> {
        let (signed, signature) = token.rsplit_once('.').ok_or("is not a JWT")?;
        let header = signed.split('.').next().and_then(decode).ok_or("has no header")?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| "has no header")?;
        if header.crit.is_some() {
            return Err("has a critical header that this crate does not know");
        }
        let signature = decode(signature).ok_or("has no signature")?;
        let algorithm = Algorithm::of(&header.alg).ok_or("has an unknown signature algorithm")?;
        let mut candidates = self.keys.iter().filter(|key| key.may_have_signed(&header)).peekable();
        if candidates.peek().is_none() {
            return Err("is not signed with a key of the issuer");
        }
        let is_valid = |key: &Jwk| key.verify(&algorithm, signed.as_bytes(), &signature).is_some();
        candidates.any(is_valid).then_some(()).ok_or("has a signature that is not the issuer's")
    }
}

impl Jwk {
    fn may_have_signed(&self, header: &Header) -> bool {
        let is_named = header.kid.is_none() || self.kid == header.kid;
        let is_for_it = self.alg.as_ref().is_none_or(|alg| *alg == header.alg);
        is_named && is_for_it && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
    }

    fn verify(&self, algorithm: &Algorithm, signed: &[u8], signature: &[u8]) -> Option<()> {
        let part = |text: &Option<String>| decode(text.as_deref()?);
        match algorithm {
            Algorithm::Rsa(parameters) if self.kty == "RSA" => {
                let key = RsaPublicKeyComponents { n: part(&self.n)?, e: part(&self.e)? };
                key.verify(parameters, signed, signature).ok()
            }
            Algorithm::Curve(curve, algorithm) if self.crv.as_deref() == Some(curve) => {
                let mut key = part(&self.x)?;
                if self.kty == "EC" {
                    // An uncompressed point (SEC 1, section 2.3.3).
                    key = [&[4], key.as_slice(), part(&self.y)?.as_slice()].concat();
                }
                UnparsedPublicKey::new(*algorithm, key).verify(signed, signature).ok()
            }
            _ => None,
        }
    }
}

impl Algorithm {
    /// Returns the algorithm `name` (RFC 7518, section 3.1; RFC 8037).
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::Curve("P-256", &ECDSA_P256_SHA256_FIXED),
            "ES384" => Self::Curve("P-384", &ECDSA_P384_SHA384_FIXED),
            "EdDSA" => Self::Curve("Ed25519", &ED25519),
            _ => return None,
        })
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.2 (RS256), and RFC 8037, appendix A.4 (Ed25519).
    const RSA_TOKEN: &str = concat!(
        "eyJhbGciOiJSUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );
    const RSA_KEY: &str = r#"{"keys": [{"kty": "RSA", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ", "e": "AQAB"}]}"#;

    fn keys(json: &str) -> JwkSet {
        serde_json::from_str(json).expect("keys")
    }

    #[test]
    fn a_signature_of_the_issuer_is_one_and_no_other_is() {
        assert_eq!(keys(RSA_KEY).verify(RSA_TOKEN), Ok(()));
        let changed = RSA_TOKEN.replacen(".eyJpc3Mi", ".eyJpc3Ni", 1);
        assert!(keys(RSA_KEY).verify(&changed).is_err());
        let other = RSA_KEY.replace("ofgWCuLj", "ofgWCuLk");
        assert!(keys(&other).verify(RSA_TOKEN).is_err());
        assert!(keys(r#"{"keys": []}"#).verify(RSA_TOKEN).is_err());
        for purpose in [r#""use": "enc", "kty""#, r#""alg": "PS256", "kty""#] {
            let key = RSA_KEY.replacen(r#""kty""#, purpose, 1);
            assert!(keys(&key).verify(RSA_TOKEN).is_err(), "{purpose}");
        }
    }

    #[test]
    fn a_token_that_says_it_needs_no_signature_is_not_believed() {
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"RS256","crit":["x"]}"#]
        {
            let header = URL_SAFE_NO_PAD.encode(header);
            let (_, rest) = RSA_TOKEN.split_once('.').expect("three parts");
            assert!(keys(RSA_KEY).verify(&format!("{header}.{rest}")).is_err());
        }
        assert!(keys(RSA_KEY).verify("no token").is_err());
    }
}
