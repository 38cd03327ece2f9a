//! Proof Key for Code Exchange (RFC 7636), and other random texts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The number of random bytes in a verifier, as in the Codex CLI.
const VERIFIER: usize = 64;

/// A code verifier, and the challenge that does not reveal it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pkce {
    pub(crate) verifier: Secret,
    /// `code_challenge`, by the method S256.
    pub(crate) challenge: String,
}

impl Pkce {
    pub(crate) fn new() -> Result<Self> {
        let verifier = random_text::<VERIFIER>()?;
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()));
        Ok(Self { verifier, challenge })
    }
}

/// Returns `BYTES` random bytes in base64url.
pub(crate) fn random_text<const BYTES: usize>() -> Result<Secret> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| {
        let message = "the operating system gives no random numbers, which a sign-in needs";
        Error::new(ErrorKind::LoginFailed, message)
    })?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_the_verifiers_digest_and_no_two_are_alike() {
        let (one, other) = (Pkce::new().expect("chance"), Pkce::new().expect("chance"));
        assert_ne!(one.verifier, other.verifier);
        // RFC 7636, section 4.1.
        assert!((43..=128).contains(&one.verifier.expose().len()));
        let digest = digest(&SHA256, one.verifier.expose().as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.decode(&one.challenge).expect("base64url"), digest.as_ref());
    }
}
