//! The refusal of a refresh token, which is believed only after another program had time to save
//! newer tokens.

use std::time::Duration;

use chrono::TimeDelta;

use super::decline::{decline, was_declined_before};
use super::turn::Turn;
use crate::error::{Error, Result};
use crate::ledger::{Ledger, SHARED_REFUSAL};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::token_endpoint::{NoAnswer, RefusalReason};

/// How long a 401 without a known code is believed: the fault may be the server's.
const UNAUTHORIZED_LIFE: TimeDelta = TimeDelta::minutes(5);

/// The refusal of a refresh token.
pub(super) struct Refusal {
    /// The reason that the server gave.
    pub(super) reason: RefusalReason,
    /// Whether an earlier request with the token was never answered.
    pub(super) is_in_doubt: bool,
    /// What the server answered, for the text of an error.
    pub(super) answer: Option<String>,
}

impl From<RefusalReason> for Refusal {
    /// Creates a refusal that needed no request.
    fn from(reason: RefusalReason) -> Self {
        Self { reason, is_in_doubt: false, answer: None }
    }
}

impl Refusal {
    /// Returns why the token is refused. After a request that was never answered, that request is
    /// the likely cause of a refusal as redeemed.
    fn explained(&self) -> RefusalReason {
        if self.is_in_doubt && self.reason.may_have_a_winner() {
            RefusalReason::OutcomeUnknown
        } else {
            self.reason
        }
    }

    /// Notes that the server refuses `token`, if that can be believed, and returns the error of the
    /// caller.
    pub(super) async fn judge(self, turn: &Turn<'_>, token: &Secret) -> Error {
        if self.reason == RefusalReason::Uncoded && !was_declined_before(turn, token) {
            let answer = self.answer.unwrap_or_else(|| "the server answered HTTP 401".to_owned());
            return decline(turn, token, &NoAnswer::new(answer)).await;
        }
        let (reason, answer) = (self.explained(), self.answer.as_deref());
        let store = turn.state.storage.location();
        tracing::warn!(
            %store,
            reason = reason.as_str(),
            answer,
            "the refresh token is refused; sign in again"
        );
        believe(turn, token, self.reason, reason).await;
        reason.into_error(&store, answer)
    }
}

/// Returns whether the store holds another refresh token than that of `auth`, which was refused.
///
/// If the reason can mean that another program has redeemed the token, this waits until that
/// program saves the new tokens, for `winner_wait` at most.
pub(super) async fn has_winner(
    turn: &Turn<'_>,
    auth: &CodexAuth,
    reason: RefusalReason,
) -> Result<bool> {
    // The wait is not cut by the end of the turn: if the machine slept, this process learns of the
    // refusal late, and the winner may save late too.
    let options = &turn.state.options;
    let patience = if reason.may_have_a_winner() {
        options.winner_wait.min(options.refresh_deadline)
    } else {
        Duration::ZERO
    };
    let clock = &turn.state.environment.clock;
    let end = clock.elapsed() + patience;
    let mut watch = turn.state.watch();
    let mut is_last = false;
    loop {
        if turn.has_changed(auth).await? {
            return Ok(true);
        }
        if is_last {
            return Ok(false);
        }
        // After the wait the store is read once more, for a change that the stamp does not show.
        is_last = !watch.changes_within(end.saturating_sub(clock.elapsed())).await;
    }
}

/// Notes that the server refuses `token` for the reason `given`, which means `explained`: for a
/// minute in the stored ledger, and for good in memory (for 5 minutes after a 401 without a known
/// code).
async fn believe(turn: &Turn<'_>, token: &Secret, given: RefusalReason, explained: RefusalReason) {
    let (token, now) = (token.fingerprint(), turn.state.now());
    let is_unknown = matches!(given, RefusalReason::Unauthorized | RefusalReason::Uncoded);
    let life = is_unknown.then_some(UNAUTHORIZED_LIFE);
    turn.state.tokens.note_here(|ledger| ledger.refuse(token, explained, now, life));
    let note = |ledger: &mut Ledger| ledger.refuse(token, explained, now, Some(SHARED_REFUSAL));
    turn.state.tokens.note_for_others(&*turn.lock, note).await;
}
