//! Saves new tokens: into the record that the store holds now, if that is still the login whose
//! refresh token was redeemed.

use std::sync::Arc;

use tracing::field::Empty;
use tracing::info_span;

use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result};
use crate::state::{State, View, graft};
use crate::storage::{Swap, Version};
use crate::trace::{Code, TARGET, traced};

/// How often a save is tried again because another program has written between its load and its
/// commit.
const MOST_CONFLICTS: usize = 20;

/// The result of a save.
#[derive(Debug)]
pub(super) enum SaveOutcome {
    /// The store holds the tokens, in this record.
    Saved(Arc<AuthDotJson>),
    /// The store holds a newer login, or none: the tokens are useless.
    Superseded,
}

impl SaveOutcome {
    /// Notes the fate of the tokens in memory.
    pub(super) fn note(&self, state: &State) {
        match self {
            Self::Saved(_) => state.pair_is_saved(),
            Self::Superseded => state.pair_is_superseded(),
        }
    }
}

/// Writes the tokens of `pair` into the stored record, if the refresh token of `pair` descends from
/// the stored one or equals it. If it equals it, an earlier try may have failed after it had
/// written, and only another write shows that the record is durable.
pub(super) async fn save(state: &State, pair: &Arc<AuthDotJson>) -> Result<SaveOutcome> {
    let span = info_span!(target: TARGET, "codex_auth.commit", outcome = Empty);
    traced(span, try_save(state, pair)).await
}

async fn try_save(state: &State, pair: &Arc<AuthDotJson>) -> Result<SaveOutcome> {
    for _ in 0..MOST_CONFLICTS {
        let loaded = state.storage.load().await?;
        let stored = loaded.record.filter(|stored| state.is_replaceable(stored, pair));
        let Some(stored) = stored else {
            return superseded(&loaded.version);
        };
        let record = graft(&stored, pair);
        if state.storage.commit(&loaded.version, &record).await? == Swap::Done {
            return Ok(SaveOutcome::Saved(Arc::new(record)));
        }
    }
    Err(Error::new(
        ErrorKind::StoreUnavailable,
        "other programs keep changing the store; the new tokens are saved later",
    ))
}

/// Stores the newer tokens in `view` again if the stored refresh token is spent. This takes no
/// refresh lock: another process may hold it while it waits for this very save.
pub(super) async fn repair(state: &State, view: &View) -> Result<()> {
    let Some(auth) = view.auth.as_ref().filter(|_| view.is_spent) else { return Ok(()) };
    if !state.memory.has_unsaved() {
        tracing::warn!(
            store = %state.storage.location(),
            "another program has stored a spent refresh token; its successor is stored again"
        );
    }
    let outcome = save(state, auth.record()).await?;
    let token = auth.refresh_fingerprint();
    if state.memory.pair().is_some_and(|own| own.record.refresh_fingerprint() == token) {
        outcome.note(state);
    }
    Ok(())
}

/// Returns that the tokens are useless, or an error if only a part of the store was read.
fn superseded(version: &Version) -> Result<SaveOutcome> {
    if version.is_partial() {
        return Err(Error::new(
            ErrorKind::StoreUnavailable,
            "only a part of the store can be read; the new tokens are saved later",
        ));
    }
    Ok(SaveOutcome::Superseded)
}

impl Code for SaveOutcome {
    fn code(&self) -> &'static str {
        match self {
            Self::Saved(_) => "saved",
            Self::Superseded => "superseded",
        }
    }
}
