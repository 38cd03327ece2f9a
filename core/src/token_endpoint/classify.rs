//! Classifies the HTTP reply to a redemption by its status and body.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::redemption::{Grant, NoAnswer, Redemption, RefusalReason};
use crate::auth_dot_json::ExtraFields;

/// The longest `Retry-After` that is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The parts of an HTTP reply that a classification needs.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// None if the body was cut off or too large.
    pub(crate) body: Option<&'a [u8]>,
}

/// Classifies a reply by the rules of the Codex CLI, with one difference: it tells a request that
/// the server put off from one that may have spent the token.
pub(crate) fn classify(reply: &Reply<'_>) -> Redemption {
    if (200..300).contains(&reply.status) {
        return match reply.body.and_then(grant) {
            Some(grant) => Redemption::Granted(grant),
            None => Redemption::InDoubt(no_answer(reply, "an unusable success")),
        };
    }
    let code = reply.body.and_then(error_code);
    if let Some(reason) = refusal(reply.status, code.as_deref()) {
        return Redemption::Refused(reason);
    }
    let answer = no_answer(reply, "an error");
    match reply.status {
        408 | 429 | 503 => Redemption::NotSpent(answer),
        500.. => Redemption::InDoubt(answer),
        _ => Redemption::Declined(answer),
    }
}

fn refusal(status: u16, code: Option<&str>) -> Option<RefusalReason> {
    match (code, status) {
        (Some("refresh_token_expired"), _) => Some(RefusalReason::Expired),
        (Some("refresh_token_reused"), _) => Some(RefusalReason::Reused),
        (Some("refresh_token_invalidated"), _) => Some(RefusalReason::Invalidated),
        (Some("invalid_grant"), 400 | 401) => Some(RefusalReason::InvalidGrant),
        (_, 401) => Some(RefusalReason::Unauthorized),
        _ => None,
    }
}

fn no_answer(reply: &Reply<'_>, what: &str) -> NoAnswer {
    NoAnswer {
        detail: format!("the token endpoint answered with {what} (HTTP {})", reply.status),
        // Zero seconds tell nothing, so the caller's own back-off applies.
        retry_after: reply.retry_after.filter(|after| !after.is_zero()),
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
    Some(code.to_ascii_lowercase())
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

    fn answer(status: u16, body: &str) -> Redemption {
        classify(&Reply { status, retry_after: None, body: Some(body.as_bytes()) })
    }

    #[test]
    fn a_refusal_is_known_by_its_code_or_by_401() {
        use RefusalReason::{Expired, InvalidGrant, Invalidated, Reused, Unauthorized};
        for (status, body, reason) in [
            (401, r#"{"error":{"code":"refresh_token_expired"}}"#, Expired),
            (500, r#"{"error":"refresh_token_reused"}"#, Reused),
            (403, r#"{"code":"Refresh_Token_Invalidated"}"#, Invalidated),
            (400, r#"{"error":{"message":"x"},"code":"refresh_token_expired"}"#, Expired),
            (400, r#"{"error":"invalid_grant","error_description":"x"}"#, InvalidGrant),
            (401, "<html>", Unauthorized),
            (401, r#"{"error":"other"}"#, Unauthorized),
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
        let cut = classify(&Reply { status: 200, retry_after: None, body: None });
        assert!(matches!(cut, Redemption::InDoubt(_)));
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
        let zero = Reply { status: 429, retry_after: Some(Duration::ZERO), body: None };
        let Redemption::NotSpent(answer) = classify(&zero) else { panic!("not put off") };
        assert_eq!(answer.retry_after, None);
    }
}
