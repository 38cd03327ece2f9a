//! What a manager does, as spans. [`AuthManager`](super::AuthManager) lists them for those who read
//! them: a name or a field that changes breaks their queries.

use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use super::decision::UnauthorizedRecoveryDecision;
use super::demand::{Outcome, Purpose};
use super::save::SaveOutcome;
use crate::error::{Error, Result};
use crate::token_endpoint::Redemption;

const TARGET: &str = "codex_auth_sdk";

/// What a span says at its end: a code.
pub(super) trait Code {
    fn code(&self) -> &'static str;
}

/// Runs `work` in `span`, and notes there what it came to.
pub(super) async fn traced<T: Code>(span: Span, work: impl Future<Output = T>) -> T {
    let result = work.instrument(span.clone()).await;
    span.record("outcome", result.code());
    result
}

pub(super) fn recovery() -> Span {
    info_span!(target: TARGET, "codex_auth.recovery", outcome = Empty)
}

/// Of nobody's: who started it may not wait for it, and its own span would have to.
pub(super) fn refresh(purpose: Purpose) -> Span {
    let purpose = match purpose {
        Purpose::Rejected => "rejected",
        Purpose::Proactive => "proactive",
        Purpose::Repair => "repair",
    };
    let span =
        info_span!(target: TARGET, parent: None, "codex_auth.refresh", purpose, outcome = Empty);
    span.follows_from(Span::current());
    span
}

pub(super) fn lock_wait() -> Span {
    info_span!(target: TARGET, "codex_auth.lock_wait", outcome = Empty)
}

pub(super) fn redemption() -> Span {
    info_span!(target: TARGET, "codex_auth.redemption", outcome = Empty)
}

pub(super) fn commit() -> Span {
    info_span!(target: TARGET, "codex_auth.commit", outcome = Empty)
}

impl<T: Code> Code for Result<T> {
    fn code(&self) -> &'static str {
        self.as_ref().map_or_else(Error::code, Code::code)
    }
}

impl Code for Outcome {
    fn code(&self) -> &'static str {
        self.as_ref().map_or_else(|reason| reason.as_str(), |_| "fresh")
    }
}

impl Code for UnauthorizedRecoveryDecision {
    fn code(&self) -> &'static str {
        match self {
            Self::Retry => self.as_str(),
            Self::GiveUp(reason) => reason.as_str(),
        }
    }
}

impl Code for SaveOutcome {
    fn code(&self) -> &'static str {
        match self {
            Self::Saved(_) => "saved",
            Self::Superseded => "superseded",
        }
    }
}

impl Code for Redemption {
    fn code(&self) -> &'static str {
        match self {
            Self::Granted(_) => "granted",
            Self::Refused(reason) => reason.as_str(),
            Self::Declined(_) => "declined",
            Self::NotSpent(_) => "not_spent",
            Self::InDoubt(_) => "in_doubt",
        }
    }
}
