//! The authorization response, which the redirect of the browser carries (RFC 6749, section 4.1.2).

use subtle::ConstantTimeEq as _;
use url::Url;
use url::form_urlencoded::parse;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// The answer to an authorization request, with the right `state`.
#[derive(Debug)]
pub(crate) enum Callback {
    /// An authorization code.
    Code(Secret),
    /// The reason why there is no code.
    Refused(Error),
}

impl Callback {
    /// Reads the query of a redirect.
    ///
    /// # Errors
    ///
    /// `login_state_mismatch` if it does not answer the request with `state`.
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
                "the redirect belongs to another sign-in; open the address of this one",
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
                "the authorization server has redirected the browser without a code; sign in again",
            ))),
        }
    }
}

/// Reads the address that the user has pasted, because the browser could not reach this machine.
///
/// # Errors
///
/// `login_failed` if it is not a URL with a query; those of [`Callback::parse`].
pub(crate) fn code_in(redirected_url: &str, state: &Secret) -> Result<Callback> {
    let url = Url::parse(redirected_url.trim()).ok();
    let Some(query) = url.as_ref().and_then(Url::query) else {
        return Err(Error::new(
            ErrorKind::LoginFailed,
            "this is not the address at which the browser arrived; paste all of it, from http to the end",
        ));
    };
    Callback::parse(query, state)
}

/// Returns the error for an error response. It shows only codes of a specification, since another
/// one may be any text.
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
    Error::new(ErrorKind::LoginDenied, "the sign-in was declined in the browser; sign in again")
        .with_reason("access_denied")
}

/// Returns `error` if it is a known code.
pub(crate) fn known_error(error: &str) -> Option<&'static str> {
    const KNOWN: [&str; 15] = [
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
        // OpenAI's.
        "unsupported_country_region_territory",
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
    fn an_answer_without_the_right_state_is_refused() {
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
