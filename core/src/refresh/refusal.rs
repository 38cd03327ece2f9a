//! The refusal of a refresh token, which is believed only after another program had time to save
//! newer tokens.

use std::time::Duration;

use chrono::TimeDelta;

use super::turn::Turn;
use crate::error::Result;
use crate::ledger::{Ledger, SHARED_REFUSAL};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::token_endpoint::RefusalReason;

/// How long a 401 without a known code is believed: the fault may be the server's.
const UNAUTHORIZED_LIFE: TimeDelta = TimeDelta::minutes(5);

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

/// Notes that the server refuses `token`: for a minute in the stored ledger, and for good in memory
/// (for 5 minutes after a 401 without a known code).
pub(super) fn believe(turn: &Turn<'_>, token: &Secret, reason: RefusalReason) {
    let (token, now) = (token.fingerprint(), turn.state.now());
    tracing::warn!(reason = reason.as_str(), "the refresh token is refused; sign in again");
    let life = (reason == RefusalReason::Unauthorized).then_some(UNAUTHORIZED_LIFE);
    turn.state.tokens.note_here(|ledger| ledger.refuse(token, reason, now, life));
    let note = |ledger: &mut Ledger| ledger.refuse(token, reason, now, Some(SHARED_REFUSAL));
    turn.state.tokens.note_for_others(&*turn.lock, note);
}
