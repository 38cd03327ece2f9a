//! The claims of tokens. They are read and not verified, and serve to tell one login from another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

const AUTH_CLAIM: &str = "https://api.openai.com/auth";
const PROFILE_CLAIM: &str = "https://api.openai.com/profile";

/// The claims of an id token that a login needs.
///
/// The signature is not checked: the token comes from the store or from the token endpoint, and its
/// claims are only compared with those of tokens from these places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IdTokenClaims {
    /// `email`, else that of the profile claim.
    pub(crate) email: Option<String>,
    /// `chatgpt_plan_type`, as the server spells it.
    pub(crate) plan_type: Option<String>,
    /// `chatgpt_account_id`: the workspace.
    pub(crate) account_id: Option<String>,
    /// `chatgpt_user_id`.
    pub(crate) chatgpt_user_id: Option<String>,
    /// `user_id`.
    pub(crate) user_id: Option<String>,
    /// `iss` and `sub`.
    pub(crate) subject: Option<(String, String)>,
    /// `chatgpt_account_is_fedramp`.
    pub(crate) is_fedramp: bool,
}

impl IdTokenClaims {
    /// Reads the claims of `token`. Returns none if it is not a JWT with a JSON object in it.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let payload = payload(token)?;
        let text = |object: &Value, name: &str| non_empty(object.get(name)?.as_str()?);
        let auth = payload.get(AUTH_CLAIM).unwrap_or(&Value::Null);
        let profile = payload.get(PROFILE_CLAIM).unwrap_or(&Value::Null);
        Some(Self {
            email: text(&payload, "email").or_else(|| text(profile, "email")),
            plan_type: text(auth, "chatgpt_plan_type"),
            account_id: text(auth, "chatgpt_account_id"),
            chatgpt_user_id: text(auth, "chatgpt_user_id"),
            user_id: text(auth, "user_id"),
            subject: text(&payload, "iss").zip(text(&payload, "sub")),
            is_fedramp: auth.get("chatgpt_account_is_fedramp") == Some(&Value::Bool(true)),
        })
    }
}

impl IdTokenClaims {
    /// Returns a token with the claims of the user, the workspace and the plan. It is not signed, so
    /// no server accepts it, and it names no email address. The Codex CLI reads such a token, and
    /// checks no signature.
    pub(crate) fn to_unsigned_token(&self) -> String {
        let mut auth = serde_json::Map::new();
        for (name, value) in [
            ("chatgpt_account_id", &self.account_id),
            ("chatgpt_plan_type", &self.plan_type),
            ("chatgpt_user_id", &self.chatgpt_user_id),
            ("user_id", &self.user_id),
        ] {
            // The CLI reads no record with a claim that is null.
            auth.extend(value.clone().map(|value| (name.to_owned(), Value::from(value))));
        }
        auth.insert("chatgpt_account_is_fedramp".to_owned(), self.is_fedramp.into());
        let encoded = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let header = encoded(serde_json::json!({"alg": "none", "typ": "JWT"}));
        let payload = encoded(serde_json::json!({AUTH_CLAIM: auth}));
        // A part of a token must not be empty for the CLI.
        format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode("not signed"))
    }
}

/// When an access token was issued and when it expires, in Unix seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AccessTokenTimes {
    /// `exp`, if it is an integer.
    pub(crate) expires_at: Option<i64>,
    /// `iat`, if it is an integer.
    pub(crate) issued_at: Option<i64>,
}

impl AccessTokenTimes {
    /// Reads the times of `token`. An opaque token has neither.
    pub(crate) fn parse(token: &str) -> Self {
        let payload = payload(token).unwrap_or_default();
        let time = |name| payload.get(name).and_then(Value::as_i64);
        Self { expires_at: time("exp"), issued_at: time("iat") }
    }
}

fn payload(token: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&decode(token)?).ok()?;
    value.is_object().then_some(value)
}

/// Returns the payload of a JWT (RFC 7515): of three non-empty parts the second one, in unpadded
/// base64url.
fn decode(token: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if [header, payload, signature].contains(&"") {
        return None;
    }
    URL_SAFE_NO_PAD.decode(payload).ok().map(Zeroizing::new)
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(payload: &Value) -> String {
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload.to_string()))
    }

    #[test]
    fn reads_every_claim_of_a_login() {
        let claims = IdTokenClaims::parse(&token(&json!({
            "iss": "https://issuer", "sub": "s-1",
            PROFILE_CLAIM: {"email": "a@example.com"},
            AUTH_CLAIM: {
                "chatgpt_plan_type": "pro", "chatgpt_account_id": "acct-1",
                "chatgpt_user_id": "u-1", "user_id": "u-0", "chatgpt_account_is_fedramp": true
            }
        })))
        .expect("a JWT");
        assert_eq!(claims.email.as_deref(), Some("a@example.com"));
        assert_eq!(claims.plan_type.as_deref(), Some("pro"));
        assert_eq!(claims.account_id.as_deref(), Some("acct-1"));
        assert_eq!(claims.chatgpt_user_id.as_deref(), Some("u-1"));
        assert_eq!(claims.user_id.as_deref(), Some("u-0"));
        assert_eq!(claims.subject, Some(("https://issuer".into(), "s-1".into())));
        assert!(claims.is_fedramp);
    }

    #[test]
    fn odd_claims_are_unknown_rather_than_fatal() {
        let odd = json!({"email": 1, AUTH_CLAIM: {"chatgpt_plan_type": [], "chatgpt_account_is_fedramp": null}});
        assert_eq!(IdTokenClaims::parse(&token(&odd)), Some(IdTokenClaims::default()));
        assert_eq!(IdTokenClaims::parse(&token(&json!([1]))), None);
    }

    #[test]
    fn times_need_integers() {
        let times = AccessTokenTimes::parse(&token(&json!({"exp": 2_000, "iat": 1_000})));
        assert_eq!((times.expires_at, times.issued_at), (Some(2_000), Some(1_000)));
        let float = AccessTokenTimes::parse(&token(&json!({"exp": 2_000.5})));
        assert_eq!(float, AccessTokenTimes::default());
        let list = AccessTokenTimes::parse(&token(&json!([2_000, 1_000])));
        assert_eq!(list, AccessTokenTimes::default());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for token in
            ["", ".", "..", "a.b", "a.!!.c", "a.e30=.c", "a.bm90IGpzb24.c", "\u{0}.\u{ffff}.é"]
        {
            assert_eq!(IdTokenClaims::parse(token), None, "{token:?}");
            assert_eq!(AccessTokenTimes::parse(token), AccessTokenTimes::default());
        }
    }
}
