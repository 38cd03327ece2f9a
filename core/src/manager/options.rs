//! What a manager goes by, checked where text becomes types.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::error::{Error, ErrorKind, Result};
use crate::origin::AllowedOrigins;
use crate::token_endpoint::TokenEncoding;

const ORIGINATOR: &str = "codex_auth_sdk";

/// Whether a manager redeems refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefreshMode {
    /// When needed.
    #[default]
    Auto,
    /// Never: it adopts what other programs store.
    Never,
}

impl FromStr for RefreshMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "never" => Ok(Self::Never),
            _ => Err(invalid(format!("unknown refresh mode {name:?}; use auto or never"))),
        }
    }
}

impl FromStr for TokenEncoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "json" => Ok(Self::Json),
            "form" => Ok(Self::Form),
            _ => Err(invalid(format!("unknown token encoding {name:?}; use json or form"))),
        }
    }
}

/// A duration option from a number of seconds, as Python gives it.
///
/// # Errors
///
/// `invalid_option` where the number is negative, not finite or too large.
pub fn seconds(option: &str, value: f64) -> Result<Duration> {
    duration(option, value, value)
}

/// A duration option from a number of milliseconds, as Node gives it.
///
/// # Errors
///
/// Those of [`seconds`].
pub fn milliseconds(option: &str, value: f64) -> Result<Duration> {
    duration(option, value, value / 1e3)
}

fn duration(option: &str, given: f64, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(format!("{option} is {given}; it must be zero or a positive number")))
}

/// What a manager goes by while it runs.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) refresh: RefreshMode,
    pub(super) account_id: Option<String>,
    pub(super) originator: Arc<str>,
    pub(super) allowed_origins: AllowedOrigins,
    pub(super) refresh_window: Option<Duration>,
    pub(super) winner_wait: Duration,
    pub(super) refresh_deadline: Duration,
    pub(super) request_timeout: Duration,
    pub(super) lock_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            refresh: RefreshMode::default(),
            account_id: None,
            originator: ORIGINATOR.into(),
            allowed_origins: AllowedOrigins::default(),
            refresh_window: None,
            winner_wait: Duration::from_secs(5),
            refresh_deadline: Duration::from_secs(45),
            request_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(60),
        }
    }
}

impl Options {
    pub(super) fn may_refresh(&self) -> bool {
        self.refresh == RefreshMode::Auto
    }

    pub(super) fn window(&self) -> Option<TimeDelta> {
        self.refresh_window.map(|window| TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX))
    }
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOption, message)
}
