//! A refusal of a refresh token, which is believed last of all.

use std::time::Duration;

use chrono::TimeDelta;

use super::turn::Turn;
use crate::error::Result;
use crate::ledger::{Ledger, SHARED_REFUSAL};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::token_endpoint::RefusalReason;

/// An unclassified 401 may be the server's trouble rather than the token's.
const UNAUTHORIZED_LIFE: TimeDelta = TimeDelta::minutes(5);

/// Whether the store holds another refresh token than the refused one of `auth` by now, or gets one
/// from a program that redeemed it and is about to save.
pub(super) async fn has_winner(
    turn: &Turn<'_>,
    auth: &CodexAuth,
    reason: RefusalReason,
) -> Result<bool> {
    // Also when the turn is over: a program that was stopped hears the refusal late, and so may
    // a winner that slept with it be late to save.
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
        // One more read in the end, for a change that the stamp does not show.
        is_last = !watch.changes_within(end.saturating_sub(clock.elapsed())).await;
    }
}

/// Remembers that `token` is refused, here for good and for the lock's next holders for a while.
pub(super) fn believe(turn: &Turn<'_>, token: &Secret, reason: RefusalReason) {
    let (token, now) = (token.fingerprint(), turn.state.now());
    tracing::warn!(reason = reason.as_str(), "the refresh token is refused");
    let life = (reason == RefusalReason::Unauthorized).then_some(UNAUTHORIZED_LIFE);
    turn.state.tokens.note_here(|ledger| ledger.refuse(token, reason, now, life));
    let note = |ledger: &mut Ledger| ledger.refuse(token, reason, now, Some(SHARED_REFUSAL));
    turn.state.tokens.note_for_others(&*turn.lock, note);
}
