//! The new tokens that another process was about to save when it died.

use std::sync::Arc;

use super::save::{SaveOutcome, save};
use super::turn::Turn;
use crate::auth_dot_json::AuthDotJson;
use crate::error::Result;
use crate::snapshot::CodexAuth;

/// Saves the successor of the refresh token of `auth`, if an earlier holder of the refresh lock has
/// left it beside the stored record. Returns whether it did.
pub(super) async fn save_leftover(turn: &Turn<'_>, auth: &CodexAuth) -> Result<bool> {
    let Some(token) = auth.refresh_fingerprint() else { return Ok(false) };
    let Some(successor) = turn.lock.ledger().unsaved_successor(token) else { return Ok(false) };
    let leftovers = turn.state.storage.leftovers().await?;
    let is_it = |record: &AuthDotJson| record.refresh_fingerprint() == Some(successor);
    let Some(pair) = leftovers.into_iter().find(is_it) else { return Ok(false) };
    tracing::warn!(
        store = %turn.state.storage.location(),
        "another process died before it had saved new tokens; they are saved now"
    );
    let is_saved = matches!(save(turn.state, &Arc::new(pair)).await?, SaveOutcome::Saved(_));
    if is_saved {
        turn.note(|ledger| ledger.settle(successor)).await;
    }
    Ok(is_saved)
}
