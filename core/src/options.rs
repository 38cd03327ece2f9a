//! The options of a manager, and the checks of their values.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::error::{Error, Result};
use crate::option_value::{self, LIMIT, PAUSE, WINDOW, unknown};
use crate::origin::AllowedOrigins;
use crate::token_endpoint::TokenEncoding;

const ORIGINATOR: &str = "codex_auth_sdk";

/// Whether a manager redeems refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RefreshMode {
    /// The manager redeems the refresh token when an access token is about to expire, has expired
    /// or was rejected.
    #[default]
    Auto,
    /// The manager only adopts what other programs store.
    Never,
}

impl RefreshMode {
    /// Returns the name of this mode, which is the same in every language.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
        }
    }
}

impl FromStr for RefreshMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "never" => Ok(Self::Never),
            _ => Err(unknown("refresh", name, "use auto or never")),
        }
    }
}

impl FromStr for TokenEncoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "json" => Ok(Self::Json),
            "form" => Ok(Self::Form),
            _ => Err(unknown("token_encoding", name, "use json or form")),
        }
    }
}

/// The options that a manager uses while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) refresh: RefreshMode,
    pub(crate) account_id: Option<String>,
    pub(crate) originator: Arc<str>,
    pub(crate) allowed_origins: AllowedOrigins,
    pub(crate) refresh_window: Option<Duration>,
    pub(crate) winner_wait: Duration,
    pub(crate) refresh_deadline: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) lock_timeout: Duration,
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
    /// Fails if one of these makes no sense, alone or together with another.
    pub(crate) fn check(&self) -> Result<()> {
        for (option, value, range) in [
            ("refresh_window", self.refresh_window.unwrap_or_default(), &WINDOW),
            ("winner_wait", self.winner_wait, &PAUSE),
            ("refresh_deadline", self.refresh_deadline, &LIMIT),
            ("request_timeout", self.request_timeout, &LIMIT),
            ("lock_timeout", self.lock_timeout, &LIMIT),
        ] {
            option_value::check_duration(option, value, range)?;
        }
        if self.lock_timeout <= self.refresh_deadline {
            return Err(option_value::invalid(
                "lock_timeout",
                format_args!("{:?}", self.lock_timeout),
                &format!("which is no longer than refresh_deadline, {:?}", self.refresh_deadline),
                "name a longer one, or a shorter refresh_deadline",
            ));
        }
        self.account_id.iter().try_for_each(|id| option_value::check_text("account_id", id))
    }

    pub(crate) fn may_refresh(&self) -> bool {
        self.refresh == RefreshMode::Auto
    }

    pub(crate) fn window(&self) -> Option<TimeDelta> {
        self.refresh_window.map(|window| TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX))
    }
}
