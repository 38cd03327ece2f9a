//! Saves new tokens: into the record that the store holds now, if that is still the login whose
//! refresh token was redeemed.

use std::sync::Arc;

use tracing::field::Empty;
use tracing::info_span;

use super::origin::Origin;
use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result};
use crate::state::{State, View, graft};
use crate::storage::{AuthStorage, Swap, Version};
use crate::trace::{Code, TARGET, traced};

/// How often a save is tried again because another program has written between its load and its
/// commit.
const MOST_CONFLICTS: usize = 20;

/// The result of a save.
#[derive(Debug)]
pub(super) enum SaveOutcome {
    /// The store holds the tokens, in this record.
    Saved(Arc<AuthDotJson>),
    /// The tokens are where the redeemed one was. The store leads to another place by now.
    SavedAtOrigin,
    /// The store holds a newer login, or none: the tokens are useless.
    Superseded,
}

impl SaveOutcome {
    /// Notes the fate of the tokens in memory.
    pub(super) fn note(&self, state: &State) {
        match self {
            Self::Saved(_) | Self::SavedAtOrigin => state.pair_is_saved(),
            Self::Superseded => state.pair_is_superseded(),
        }
    }
}

/// Writes the tokens of `pair` into the stored record, if the refresh token of `pair` descends from
/// the stored one or equals it. If it equals it, an earlier try may have failed after it had
/// written, and only another write shows that the record is durable.
pub(super) async fn save(state: &State, pair: &Arc<AuthDotJson>) -> Result<SaveOutcome> {
    save_in(&*state.storage, state, pair).await
}

/// Saves the tokens of `pair`, whose refresh token was redeemed for one that was at `origin`: in the
/// store, and at the origin too if a link was moved since, so that the store leads elsewhere.
pub(super) async fn save_from(
    origin: &Origin,
    state: &State,
    pair: &Arc<AuthDotJson>,
) -> Result<SaveOutcome> {
    let saved = save(state, pair).await;
    let Some(origin) = origin.if_left(state).await else { return saved };
    let at_origin = save_in(origin, state, pair).await;
    match (saved, at_origin) {
        (Ok(SaveOutcome::Saved(record)), _) => Ok(SaveOutcome::Saved(record)),
        (_, Ok(SaveOutcome::Saved(_))) => {
            tracing::debug!(
                store = %state.storage.location(),
                origin = %origin.location(),
                "the login was moved or switched during a refresh; its new tokens are saved where \
                 the old ones were"
            );
            Ok(SaveOutcome::SavedAtOrigin)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
        (superseded, _) => superseded,
    }
}

async fn save_in(
    storage: &dyn AuthStorage,
    state: &State,
    pair: &Arc<AuthDotJson>,
) -> Result<SaveOutcome> {
    let span = info_span!(target: TARGET, "codex_auth.commit", outcome = Empty);
    traced(span, try_save(storage, state, pair)).await
}

async fn try_save(
    storage: &dyn AuthStorage,
    state: &State,
    pair: &Arc<AuthDotJson>,
) -> Result<SaveOutcome> {
    for _ in 0..MOST_CONFLICTS {
        let loaded = storage.load().await?;
        let stored = loaded.record.filter(|stored| state.is_replaceable(stored, pair));
        let Some(stored) = stored else {
            return superseded(&loaded.version);
        };
        let record = graft(&stored, pair);
        if storage.commit(&loaded.version, &record).await? == Swap::Done {
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
    let Some(auth) = &view.successor else { return Ok(()) };
    if !state.memory.has_unsaved() {
        tracing::warn!(
            store = %state.storage.location(),
            "the store holds a spent refresh token again; its successor is about to be stored"
        );
    }
    let saved = save(state, auth.record()).await;
    let outcome = saved.inspect_err(|error| {
        tracing::warn!(%error, "a spent refresh token stays in the store for now");
    })?;
    let token = auth.refresh_fingerprint();
    let is_own = state.memory.pair().is_some_and(|own| own.record.refresh_fingerprint() == token);
    // Of tokens that this could not save, the retry that holds the lock knows more.
    if is_own && matches!(outcome, SaveOutcome::Saved(_)) {
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
            Self::SavedAtOrigin => "saved_at_origin",
            Self::Superseded => "superseded",
        }
    }
}
