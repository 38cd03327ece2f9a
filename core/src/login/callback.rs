//! What the authorization server sends the browser back with (RFC 6749, section 4.1.2).

use subtle::ConstantTimeEq as _;
use url::Url;
use url::form_urlencoded::parse;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The answer to an authorization request, of whoever knows its `state`.
#[derive(Debug)]
pub(crate) enum Callback {
    /// An authorization code.
    Code(Secret),
    /// There is none, and why.
    Refused(Error),
}

impl Callback {
    /// Reads the query of a redirect.
    ///
    /// # Errors
    ///
    /// `login_state_mismatch` where it answers another request than the one with `state`, or none.
    pub(crate) fn parse(query: &str, state: &Secret) -> Result<Self> {
        let field = |wanted: &str| {
            let mut found = parse(query.as_bytes()).filter(|(name, _)| name == wanted);
            found.next().map(|(_, value)| Secret::new(value.into_owned()))
        };
        let is_ours =
            |given: &Secret| given.expose().as_bytes().ct_eq(state.expose().as_bytes()).into();
        if !field("state").as_ref().is_some_and(is_ours) {
            return Err(Error::new(
                ErrorKind::LoginStateMismatch,
                "the redirect answers another sign-in than this one; open this one's URL",
            ));
        }
        if let Some(error) = field("error") {
            let detail = field("error_description").unwrap_or_default();
            return Ok(Self::Refused(refusal(error.expose(), detail.expose())));
        }
        match field("code").filter(|code| !code.is_empty()) {
            Some(code) => Ok(Self::Code(code)),
            None => Ok(Self::Refused(Error::new(
                ErrorKind::LoginFailed,
                "the authorization server sent the browser back without a code; sign in again",
            ))),
        }
    }
}

/// What a user has pasted, whose browser could not reach us.
///
/// # Errors
///
/// `login_failed` where it is no such URL; see [`Callback::parse`] too.
pub(crate) fn code_in(redirected_url: &str, state: &Secret) -> Result<Callback> {
    let url = Url::parse(redirected_url.trim()).ok();
    let Some(query) = url.as_ref().and_then(Url::query) else {
        return Err(Error::new(
            ErrorKind::LoginFailed,
            "this is not the URL that the browser ended up at; paste all of it, from http to the end",
        ));
    };
    Callback::parse(query, state)
}

/// Only what RFC 6749 knows is shown: the rest is the server's text.
fn refusal(error: &str, description: &str) -> Error {
    if error != "access_denied" {
        let known = known_error(error).unwrap_or("an error");
        let message = format!("the authorization server answered {known}; sign in again");
        return Error::new(ErrorKind::LoginFailed, message);
    }
    if description.contains("missing_codex_entitlement") {
        return Error::new(
            ErrorKind::LoginDenied,
            "this account may not use Codex; ask the administrator of its workspace",
        )
        .with_reason("missing_codex_entitlement");
    }
    Error::new(ErrorKind::LoginDenied, "signing in was declined in the browser")
        .with_reason("access_denied")
}

/// `error`, if a specification has it.
pub(crate) fn known_error(error: &str) -> Option<&'static str> {
    const KNOWN: [&str; 14] = [
        // RFC 6749, sections 4.1.2.1 and 5.2.
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
        // RFC 8628, section 3.5.
        "authorization_pending",
        "expired_token",
        "slow_down",
        // OpenID Connect Core, section 3.1.2.6.
        "login_required",
    ];
    KNOWN.into_iter().find(|known| *known == error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<Callback> {
        Callback::parse(query, &Secret::new("s-1"))
    }

    #[test]
    fn only_who_knows_the_state_is_heard() {
        for query in ["", "code=c", "state=", "state=s-2&code=c", "state=s-1x&error=access_denied"]
        {
            assert_eq!(
                parsed(query).expect_err("another").code(),
                "login_state_mismatch",
                "{query}"
            );
        }
        assert!(
            matches!(parsed("code=c%201&state=s-1"), Ok(Callback::Code(code)) if code.expose() == "c 1")
        );
    }

    #[test]
    fn a_refusal_says_nothing_that_the_server_made_up() {
        let refused = |query: &str| match parsed(&format!("state=s-1&{query}")) {
            Ok(Callback::Refused(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused("error=access_denied").code(), "login_denied");
        let entitlement =
            refused("error=access_denied&error_description=missing_codex_entitlement");
        assert_eq!(entitlement.reason(), Some("missing_codex_entitlement"));
        assert!(refused("error=invalid_scope").to_string().contains("invalid_scope"));
        let odd = refused("error=<b>call+0900</b>&error_description=sesame");
        assert_eq!(odd.code(), "login_failed");
        assert!(!odd.to_string().contains("0900") && !odd.to_string().contains("sesame"));
        assert_eq!(refused("code=").code(), "login_failed");
    }

    #[test]
    fn what_is_pasted_is_a_whole_url() {
        let pasted = |text: &str| code_in(text, &Secret::new("s-1"));
        assert!(matches!(
            pasted(" http://localhost:1455/auth/callback?code=c&state=s-1\n"),
            Ok(Callback::Code(_))
        ));
        assert_eq!(pasted("c").expect_err("a code alone").code(), "login_failed");
    }
}
