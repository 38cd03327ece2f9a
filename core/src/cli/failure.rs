//! Why the command failed, and the exit code that says so.

use std::fmt;
use std::io;

use serde::Serialize;

use super::console;
use crate::{Error, ErrorKind, GiveUpReason};

/// The exit code of the command; its help lists what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    WrongUsage = 2,
    SignInNeeded = 3,
    TryAgainLater = 4,
}

/// The outcome of a subcommand.
pub(super) type Result<T = ()> = std::result::Result<T, Failure>;

/// Why the command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A call of the library has failed, or a step of the command that fails like one.
    Library(Error),
    /// There is no new token for the login.
    GivenUp(GiveUpReason),
    /// What is wrong is the result, which is printed.
    Reported(Exit),
    /// The result could not be printed.
    Output(io::Error),
}

/// A failure as JSON.
#[derive(Serialize)]
struct Report {
    error: Details,
}

#[derive(Serialize)]
pub(super) struct Details {
    code: &'static str,
    message: String,
    reason: Option<&'static str>,
    is_transient: bool,
    retry_after_seconds: Option<f64>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<&Error> for Details {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code(),
            message: error.to_string(),
            reason: error.reason(),
            is_transient: error.is_transient(),
            retry_after_seconds: error.retry_after().map(|wait| wait.as_secs_f64()),
        }
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&console::printable(&self.message))
    }
}

impl Failure {
    /// Returns that no login is stored.
    pub(super) fn not_signed_in() -> Self {
        Error::new(ErrorKind::LoginRequired, "no login is stored").into()
    }

    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Library(error) => exit_for(error.kind()),
            Self::GivenUp(GiveUpReason::LoggedOut) => Exit::SignInNeeded,
            // Another program has just changed the login, or the limit fills up again.
            Self::GivenUp(GiveUpReason::IdentityMismatch | GiveUpReason::FreshTokenRejected) => {
                Exit::TryAgainLater
            }
            Self::GivenUp(_) => Exit::Failed,
            Self::Reported(exit) => *exit,
            // The program that reads the result has heard enough, say `head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) => Exit::Failed,
        }
    }

    /// Tells the user, and with `is_json` also the program that reads the output.
    pub(super) fn show(&self, is_json: bool) {
        let exit = self.exit();
        let Some(details) = self.details().filter(|_| exit != Exit::Done) else { return };
        console::complain(&details.message);
        if exit == Exit::SignInNeeded {
            console::tell("To sign in: codex-auth-sdk login");
        }
        if is_json {
            // Where stdout cannot be written, stderr has said so.
            console::print_json(&Report { error: details }).unwrap_or_default();
        }
    }

    /// Returns what users and programs are told; none of a failure that is printed already.
    fn details(&self) -> Option<Details> {
        let details = match self {
            Self::Library(error) => Details::from(error),
            Self::Reported(_) => return None,
            Self::GivenUp(reason) => Details {
                code: reason.as_str(),
                message: given_up(*reason).to_owned(),
                reason: None,
                is_transient: self.exit() == Exit::TryAgainLater,
                retry_after_seconds: None,
            },
            Self::Output(error) => Details {
                code: "output_failed",
                message: format!("the result cannot be printed: {error}"),
                reason: None,
                is_transient: false,
                retry_after_seconds: None,
            },
        };
        Some(details)
    }
}

/// Returns the exit code that tells of an error of this kind.
pub(super) const fn exit_for(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::InvalidOption => Exit::WrongUsage,
        ErrorKind::LoginRequired
        | ErrorKind::RefreshTokenExpired
        | ErrorKind::RefreshTokenReused
        | ErrorKind::RefreshTokenInvalidated
        | ErrorKind::RefreshTokenRejected => Exit::SignInNeeded,
        kind if kind.is_transient() => Exit::TryAgainLater,
        _ => Exit::Failed,
    }
}

const fn given_up(reason: GiveUpReason) -> &'static str {
    match reason {
        GiveUpReason::NotRefreshable => "this kind of login is not refreshed",
        GiveUpReason::LoggedOut => "another program has removed the login",
        GiveUpReason::IdentityMismatch => {
            "another program has just stored another login; run the command again"
        }
        GiveUpReason::MissingIdentity => {
            "the stored login does not say whose it is, so it is not refreshed; sign in again"
        }
        GiveUpReason::FreshTokenRejected => {
            "the login was refreshed several times lately, so it is not refreshed again now; try \
             again in some minutes"
        }
        GiveUpReason::RefreshDisabled | GiveUpReason::Exhausted => "there is no newer token",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_what_to_do() {
        for (kind, exit) in [
            (ErrorKind::InvalidOption, Exit::WrongUsage),
            (ErrorKind::LoginRequired, Exit::SignInNeeded),
            (ErrorKind::RefreshTokenReused, Exit::SignInNeeded),
            (ErrorKind::RefreshTransient, Exit::TryAgainLater),
            (ErrorKind::LockTimeout, Exit::TryAgainLater),
            (ErrorKind::KeyringLocked, Exit::TryAgainLater),
            (ErrorKind::StoreCorrupt, Exit::Failed),
            (ErrorKind::LoginDenied, Exit::Failed),
        ] {
            assert_eq!(Failure::from(Error::new(kind, "")).exit(), exit, "{kind:?}");
        }
    }
}
