//! The record of a new login, as the Codex CLI would write it.

use chrono::{DateTime, Utc};

use super::token_reply::Tokens;
use crate::auth_dot_json::{AuthDotJson, PERSONAL_ACCESS_TOKEN, Provenance, TokenData};
use crate::claims::IdTokenClaims;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::snapshot::is_header_value;

/// Returns the record of a ChatGPT login, with the OAuth client to which its tokens were issued.
pub(crate) fn chatgpt_record(
    tokens: Tokens,
    provenance: &Provenance,
    now: DateTime<Utc>,
) -> AuthDotJson {
    let claims = IdTokenClaims::parse(tokens.id_token.expose()).unwrap_or_default();
    let Tokens { id_token, access_token, refresh_token } = tokens;
    let mut tokens = TokenData {
        id_token,
        access_token,
        refresh_token,
        account_id: claims.account_id,
        ..TokenData::default()
    };
    tokens.set_provenance(provenance);
    AuthDotJson {
        auth_mode: Some("chatgpt".to_owned()),
        tokens: Some(tokens),
        last_refresh: Some(now),
        ..AuthDotJson::default()
    }
}

/// Returns the record of a login with an API key.
///
/// # Errors
///
/// `login_invalid_credential` if the text cannot be an API key.
pub(crate) fn api_key_record(key: &Secret) -> Result<AuthDotJson> {
    let key = shaped("API key", key)?;
    Ok(AuthDotJson {
        auth_mode: Some("apikey".to_owned()),
        openai_api_key: Some(key),
        ..AuthDotJson::default()
    })
}

/// Returns the record of a login with a personal access token, or with the token of an agent.
///
/// # Errors
///
/// `login_invalid_credential` if the text can be neither.
pub(crate) fn access_token_record(token: &Secret) -> Result<AuthDotJson> {
    let token = shaped("access token", token)?;
    let is_jwt = token.expose().split('.').filter(|part| !part.is_empty()).count() == 3;
    if !is_jwt && !token.expose().starts_with(PERSONAL_ACCESS_TOKEN) {
        return Err(invalid(
            "access token",
            "begins with at- or has three parts with dots between",
        ));
    }
    Ok(AuthDotJson::of_access_token(&token))
}

/// Returns `text` without the white space around it, if a header can have it.
fn shaped(what: &str, text: &Secret) -> Result<Secret> {
    let trimmed = text.expose().trim();
    if is_header_value(trimmed) && !trimmed.contains(' ') {
        return Ok(Secret::new(trimmed));
    }
    Err(invalid(what, "is printable ASCII text without spaces"))
}

fn invalid(what: &str, shape: &str) -> Error {
    let message = format!("the text is not an {what}, which {shape}; nothing was saved");
    Error::new(ErrorKind::LoginInvalidCredential, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_stored_as_the_cli_stores_it() {
        let record = api_key_record(&Secret::new(" sk-1\n")).expect("a key").to_json();
        assert_eq!(record.expose(), r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-1"}"#);
        let record = access_token_record(&Secret::new("at-1")).expect("a token").to_json();
        assert_eq!(record.expose(), r#"{"OPENAI_API_KEY":null,"personal_access_token":"at-1"}"#);
        assert!(access_token_record(&Secret::new("a.b.c")).is_ok());
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused_and_not_shown() {
        for text in ["", "  ", "two words", "n\u{e9}w", "x\ny"] {
            for error in [
                api_key_record(&Secret::new(text)).expect_err("no key"),
                access_token_record(&Secret::new(text)).expect_err("no token"),
            ] {
                assert_eq!(error.code(), "login_invalid_credential");
            }
        }
        let error = access_token_record(&Secret::new("sesame")).expect_err("no token");
        assert!(!error.to_string().contains("sesame"));
    }
}
