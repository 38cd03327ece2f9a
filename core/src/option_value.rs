//! Checks the values of options, and makes the errors for bad ones.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::is_header_value;
use crate::transport::is_protected;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long one step may take. A shorter time suffices for nothing, and a longer one was most
/// likely given in another unit.
pub(crate) const LIMIT: RangeInclusive<Duration> = Duration::from_millis(1)..=DAY;

/// How long an optional pause may be.
pub(crate) const PAUSE: RangeInclusive<Duration> = Duration::ZERO..=DAY;

/// How long before its expiry a token may be refreshed: no token lives longer.
pub(crate) const WINDOW: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(366 * DAY.as_secs());

/// Returns an `invalid_option` with the option's name, its value, the problem, and what to do.
pub(crate) fn invalid(option: &str, value: impl fmt::Display, problem: &str, fix: &str) -> Error {
    Error::new(ErrorKind::InvalidOption, format!("{option} is {value}, {problem}; {fix}"))
}

/// Returns an `invalid_option` for a word that the option does not know.
pub(crate) fn unknown(option: &str, word: &str, fix: &str) -> Error {
    invalid(option, format_args!("{word:?}"), "which is unknown", fix)
}

/// Returns the duration of a number of seconds, the unit of Python.
///
/// # Errors
///
/// `invalid_option` if the number is negative, not finite or too large for a duration.
pub fn seconds(option: &str, value: f64) -> Result<Duration> {
    duration(option, value, value)
}

/// Returns the duration of a number of milliseconds, the unit of Node.
///
/// # Errors
///
/// `invalid_option` if the number is negative, not finite or too large for a duration.
pub fn milliseconds(option: &str, value: f64) -> Result<Duration> {
    duration(option, value, value / 1e3)
}

fn duration(option: &str, given: f64, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        invalid(option, given, "which is not a duration", "name zero or a positive number")
    })
}

/// Fails if `value` is outside of `range`.
pub(crate) fn check_duration(
    option: &str,
    value: Duration,
    range: &RangeInclusive<Duration>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let problem = if value < *range.start() { "which is too short" } else { "which is too long" };
    let fix = format!("name one from {:?} to {:?}", range.start(), range.end());
    Err(invalid(option, format_args!("{value:?}"), problem, &fix))
}

/// Fails if a header of a request cannot have the text `value`.
pub(crate) fn check_text(option: &str, value: &str) -> Result<()> {
    let problem = if value.is_empty() {
        "which is empty"
    } else if !is_header_value(value) || value.trim() != value {
        "which is not printable ASCII text without blanks around it"
    } else {
        return Ok(());
    };
    Err(invalid(option, format_args!("{value:?}"), problem, "correct it, or leave it out"))
}

/// Parses the URL of an endpoint to which secrets are sent (RFC 6749, section 3.2).
pub(crate) fn endpoint_url(option: &str, text: &str) -> Result<Url> {
    let refuse = |problem: &str, fix| Err(invalid(option, shown(text), problem, fix));
    let Ok(url) = Url::parse(text) else {
        return refuse("which is not a URL", "name one, https://host/path");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("which names a user or a password", "leave them out");
    }
    if url.fragment().is_some() {
        return refuse("which has a fragment, and an endpoint must not have one", "leave it out");
    }
    if !is_protected(&url) {
        let problem = "which would get tokens unencrypted";
        return refuse(problem, "use https, or http on loopback");
    }
    Ok(url)
}

/// Parses the URL of an authorization server (RFC 8414, section 2), below which its endpoints are.
pub(crate) fn issuer_url(option: &str, text: &str) -> Result<Url> {
    let url = endpoint_url(option, text)?;
    if url.query().is_some() {
        let problem = "which has a query, and an issuer must not have one";
        return Err(invalid(option, shown(text), problem, "leave it out"));
    }
    Ok(url)
}

/// Returns a URL for the text of an error. A URL with an `@` is not shown, since it may contain a
/// password.
pub(crate) fn shown(url: &str) -> String {
    if url.contains('@') { "a URL (not shown)".to_owned() } else { format!("{url:?}") }
}
