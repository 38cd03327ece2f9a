//! Classifies the HTTP reply to a redemption by its status and body.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::redemption::{Grant, NoAnswer, Redemption, RefusalReason};
use crate::auth_dot_json::ExtraFields;
use crate::secret::Secret;

/// The longest `Retry-After` that is believed. Servers say more by mistake, and a user with a good
/// login would wait for it.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// The longest error code that is shown.
const LONGEST_CODE: usize = 64;

/// The parts of an HTTP reply that a classification needs.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    /// The host that was asked.
    pub(crate) host: &'a str,
    /// The token that was sent. A server may send it back in the place of an error code.
    pub(crate) sent: &'a Secret,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// None if the body was cut off or too large.
    pub(crate) body: Option<&'a [u8]>,
}

/// Classifies a reply by the rules of the Codex CLI, with two differences: it tells a request that
/// the server put off from one that may have spent the token, and it knows more codes that mean the
/// end of a login. Returns with it what the server answered, for the text of an error.
pub(crate) fn classify(reply: &Reply<'_>) -> (Redemption, String) {
    if (200..300).contains(&reply.status) {
        let answer = reply.answer("an unusable success");
        let redemption = match reply.body.and_then(grant) {
            Some(grant) => Redemption::Granted(grant),
            None => Redemption::InDoubt(reply.no_answer(answer.clone())),
        };
        return (redemption, answer);
    }
    let code = reply.body.and_then(error_code);
    let answer = match code.as_deref() {
        None => reply.answer("an error without a code"),
        Some(code) if reply.may_show(code) => reply.answer(&format!("the error {code}")),
        Some(_) => reply.answer("an error with a code that is not shown"),
    };
    let no_answer = || NoAnswer {
        advice: code.as_deref().and_then(advice).map(str::to_owned),
        ..reply.no_answer(answer.clone())
    };
    let redemption = match (refusal(reply.status, code.as_deref()), reply.status) {
        (Some(reason), _) => Redemption::Refused(reason),
        (None, 408 | 429 | 503) => Redemption::NotSpent(no_answer()),
        (None, 500..) => Redemption::InDoubt(no_answer()),
        (None, _) => Redemption::Declined(no_answer()),
    };
    (redemption, answer)
}

/// Returns what the user can do about the error `code`, if that is known.
pub(crate) fn advice(code: &str) -> Option<&'static str> {
    (code == "unsupported_country_region_territory").then_some(
        "the server does not serve the country that the request seems to come from; check the VPN, \
         and that this program uses the same proxy as the browser (HTTPS_PROXY, or the option proxy)",
    )
}

fn refusal(status: u16, code: Option<&str>) -> Option<RefusalReason> {
    match (code, status) {
        (Some("refresh_token_expired" | "token_expired" | "app_session_expired"), _) => {
            Some(RefusalReason::Expired)
        }
        (Some("refresh_token_reused"), _) => Some(RefusalReason::Reused),
        (Some("refresh_token_invalidated" | "app_session_terminated"), _) => {
            Some(RefusalReason::Invalidated)
        }
        (Some("invalid_refresh_token"), _) | (Some("invalid_grant"), 400 | 401) => {
            Some(RefusalReason::InvalidGrant)
        }
        (Some(_), 401) => Some(RefusalReason::Unauthorized),
        (None, 401) => Some(RefusalReason::Uncoded),
        _ => None,
    }
}

impl Reply<'_> {
    fn answer(&self, what: &str) -> String {
        format!("{} answered {what} (HTTP {})", self.host, self.status)
    }

    fn no_answer(&self, detail: String) -> NoAnswer {
        // Zero seconds tell nothing, so the caller's own back-off applies.
        let retry_after = self.retry_after.filter(|after| !after.is_zero());
        NoAnswer { retry_after, ..NoAnswer::new(detail) }
    }

    /// Returns whether the text of an error may contain `code`, which is in lower case.
    fn may_show(&self, code: &str) -> bool {
        let is_word =
            |code: &str| code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_secret = |code: &str| self.sent.expose().to_ascii_lowercase().contains(code);
        code.len() <= LONGEST_CODE && is_word(code) && !is_secret(code)
    }
}

/// Returns the tokens of a successful reply, or none without an access or refresh token. An empty
/// token, or one that is not a string, counts as absent, so that the others are not lost with it.
fn grant(body: &[u8]) -> Option<Grant> {
    let fields: ExtraFields = serde_json::from_slice(body).ok()?;
    let given = |name| fields.text(name).filter(|token| !token.is_empty());
    let grant = Grant {
        id_token: given("id_token"),
        access_token: given("access_token"),
        refresh_token: given("refresh_token"),
    };
    (grant.access_token.is_some() || grant.refresh_token.is_some()).then_some(grant)
}

/// Returns `error.code`, else `error`, else `code`, in lower case.
fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error");
    let nested = error.and_then(|error| error.get("code")).and_then(Value::as_str);
    let code = nested
        .or_else(|| error.and_then(Value::as_str))
        .or_else(|| body.get("code").and_then(Value::as_str))?;
    Some(code.to_ascii_lowercase()).filter(|code| !code.is_empty())
}

/// Parses `Retry-After` in either of its forms (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(value: &[u8], now: DateTime<Utc>) -> Option<Duration> {
    let value = std::str::from_utf8(value).ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(LONGEST_RETRY_AFTER.min(Duration::from_secs(seconds)));
    }
    let after = (http_date(value.as_bytes())? - now).to_std().unwrap_or_default();
    Some(LONGEST_RETRY_AFTER.min(after))
}

/// A time in the form that servers send (RFC 9110 section 5.6.7).
pub(super) fn http_date(value: &[u8]) -> Option<DateTime<Utc>> {
    let value = std::str::from_utf8(value).ok()?.trim();
    DateTime::parse_from_rfc2822(value).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply<'a>(status: u16, body: Option<&'a str>, sent: &'a Secret) -> Reply<'a> {
        let body = body.map(str::as_bytes);
        Reply { host: "issuer.example", sent, status, retry_after: None, body }
    }

    fn answer(status: u16, body: &str) -> Redemption {
        classify(&reply(status, Some(body), &Secret::new("rt-1"))).0
    }

    #[test]
    fn a_refusal_is_known_by_its_code_or_by_401() {
        use RefusalReason::{Expired, InvalidGrant, Invalidated, Reused, Unauthorized, Uncoded};
        for (status, body, reason) in [
            (401, r#"{"error":{"code":"refresh_token_expired"}}"#, Expired),
            (500, r#"{"error":"refresh_token_reused"}"#, Reused),
            (403, r#"{"code":"Refresh_Token_Invalidated"}"#, Invalidated),
            (400, r#"{"error":{"message":"x"},"code":"refresh_token_expired"}"#, Expired),
            (400, r#"{"error":"invalid_grant","error_description":"x"}"#, InvalidGrant),
            (400, r#"{"error":{"code":"app_session_terminated"}}"#, Invalidated),
            (400, r#"{"error":{"code":"app_session_expired"}}"#, Expired),
            (403, r#"{"error":{"code":"token_expired"}}"#, Expired),
            (400, r#"{"error":"invalid_refresh_token"}"#, InvalidGrant),
            (401, r#"{"error":"other"}"#, Unauthorized),
            (401, "<html>", Uncoded),
            (401, r#"{"error":{"message":"x"}}"#, Uncoded),
            (401, r#"{"error":""}"#, Uncoded),
        ] {
            assert!(
                matches!(answer(status, body), Redemption::Refused(found) if found == reason),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn anything_else_is_told_apart_by_whether_the_token_may_be_spent() {
        for status in [408, 429, 503] {
            assert!(matches!(answer(status, "{}"), Redemption::NotSpent(_)), "{status}");
        }
        for status in [302, 307, 400, 403, 404] {
            assert!(matches!(answer(status, "{}"), Redemption::Declined(_)), "{status}");
        }
        for (status, body) in [
            (500, ""),
            (502, "{}"),
            (200, ""),
            (200, "{}"),
            (200, r#"{"access_token":1}"#),
            (200, r#"["a", "b", "c"]"#),
        ] {
            assert!(matches!(answer(status, body), Redemption::InDoubt(_)), "{status} {body}");
        }
        let (cut, _) = classify(&reply(200, None, &Secret::default()));
        assert!(matches!(cut, Redemption::InDoubt(_)));
    }

    #[test]
    fn an_answer_names_the_host_and_a_code_that_is_no_secret() {
        let sent = Secret::new("rt_Sesame");
        let said = |status, body: &str| classify(&reply(status, Some(body), &sent)).1;
        for (status, body, expected) in [
            (400, r#"{"error":"New_Code"}"#, "the error new_code (HTTP 400)"),
            (401, "<html>", "an error without a code (HTTP 401)"),
            (200, "{}", "an unusable success (HTTP 200)"),
        ] {
            assert_eq!(said(status, body), format!("issuer.example answered {expected}"));
        }
        let region = r#"{"error":{"code":"unsupported_country_region_territory"}}"#;
        let Redemption::Declined(declined) = answer(403, region) else { panic!("declined") };
        assert!(declined.text().contains("does not serve the country"), "{declined:?}");
        let long = "x".repeat(65);
        for odd in ["rt_Sesame", "sesame", "a b", "\u{1b}[2J", "caf\u{e9}", &long] {
            let said = said(400, &serde_json::json!({"error": odd}).to_string());
            let expected =
                "issuer.example answered an error with a code that is not shown (HTTP 400)";
            assert_eq!(said, expected, "{odd:?}");
        }
    }

    #[test]
    fn a_token_that_is_no_text_does_not_take_the_others_with_it() {
        let granted = |body| match answer(200, body) {
            Redemption::Granted(grant) => [grant.id_token, grant.access_token, grant.refresh_token]
                .map(|token| token.map(|token| token.expose().to_owned())),
            other => panic!("{body}: {other:?}"),
        };
        let text = |text: &str| Some(text.to_owned());
        let odd = r#"{"id_token": {}, "access_token": "a", "refresh_token": "r"}"#;
        assert_eq!(granted(odd), [None, text("a"), text("r")]);
        let odd = r#"{"id_token": "i", "access_token": 1, "refresh_token": "r", "scope": null}"#;
        assert_eq!(granted(odd), [text("i"), None, text("r")]);
        let twice = r#"{"access_token": "a", "access_token": "b", "refresh_token": ""}"#;
        assert_eq!(granted(twice), [None, text("b"), None]);
    }

    #[test]
    fn retry_after_takes_seconds_and_dates() {
        let now = DateTime::from_timestamp(784_111_700, 0).expect("a time");
        assert_eq!(retry_after(b" 7 ", now), Some(Duration::from_secs(7)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(date.as_bytes(), now), Some(Duration::from_secs(77)));
        assert_eq!(retry_after(b"soon", now), None);
        assert_eq!(retry_after(b"\xff", now), None);
        assert_eq!(retry_after(b"18446744073709551615", now), Some(LONGEST_RETRY_AFTER));
        assert_eq!(retry_after(b"301", now), Some(LONGEST_RETRY_AFTER));
        let sent = Secret::default();
        let zero = Reply { retry_after: Some(Duration::ZERO), ..reply(429, None, &sent) };
        let (Redemption::NotSpent(answer), _) = classify(&zero) else { panic!("not put off") };
        assert_eq!(answer.retry_after, None);
    }
}
