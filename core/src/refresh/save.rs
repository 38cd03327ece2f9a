//! Saving a rotated pair: onto whatever the store holds now, if that is still the login whose token
//! was redeemed.

use std::sync::Arc;

use tracing::field::Empty;
use tracing::info_span;

use super::reply::graft;
use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result};
use crate::state::{State, View};
use crate::storage::{Swap, Version};
use crate::trace::{Code, TARGET, traced};

/// Writers that come between a load and its commit, one after the other, before we let it be.
const MOST_CONFLICTS: usize = 20;

/// What became of a save.
#[derive(Debug)]
pub(super) enum SaveOutcome {
    /// The store holds the pair, in this record.
    Saved(Arc<AuthDotJson>),
    /// The store holds something newer, or nothing: the pair is of no use any more.
    Superseded,
}

impl SaveOutcome {
    /// Notes what became of the pair in memory.
    pub(super) fn note(&self, state: &State) {
        match self {
            Self::Saved(_) => state.pair_is_saved(),
            Self::Superseded => state.pair_is_superseded(),
        }
    }
}

/// Writes the tokens of `pair` onto what the store holds, as long as that still holds a token that
/// the pair's came from, or already the pair's own: then an earlier try failed after it had written,
/// and only another one can show that it is durable.
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
        "other programs keep changing the store; the refreshed tokens are saved later",
    ))
}

/// Puts the newer pair in `view` back in the place of a spent token. Takes no refresh lock: a
/// newcomer may hold that and wait for us.
pub(super) async fn repair(state: &State, view: &View) -> Result<()> {
    let Some(auth) = view.auth.as_ref().filter(|_| view.is_spent) else { return Ok(()) };
    tracing::warn!("the store holds a spent refresh token; writing its successor again");
    let outcome = save(state, auth.record()).await?;
    if state.memory.pair().is_some_and(|own| Arc::ptr_eq(&own.record, auth.record())) {
        outcome.note(state);
    }
    Ok(())
}

/// The pair is of no use any more, if all of the store was read.
fn superseded(version: &Version) -> Result<SaveOutcome> {
    if version.is_partial() {
        return Err(Error::new(
            ErrorKind::StoreUnavailable,
            "only a part of the store can be read; the refreshed tokens are saved later",
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
