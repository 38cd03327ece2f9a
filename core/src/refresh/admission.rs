//! Waits for the refresh lock, or for the answer of another process that holds it.

use std::mem;

use chrono::{DateTime, Utc};
use tracing::field::Empty;
use tracing::info_span;

use super::decision::GiveUpReason;
use super::demand::{Demand, Outcome};
use super::save::repair;
use super::turn::not_yet;
use super::unsaved::Unsaved;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Knowledge;
use crate::snapshot::CodexAuth;
use crate::state::{State, View};
use crate::storage::RefreshLock;
use crate::trace::{Code, TARGET, traced};

/// The result of the wait for the refresh lock.
pub(super) enum Admission {
    /// The store has the answer.
    Answered(Outcome),
    /// This refresh holds the lock.
    Locked(Box<dyn RefreshLock>),
}

/// Takes the refresh lock. While another process holds it, this watches the store for new tokens,
/// and the ledger for what that process has learnt of the refresh token. If this manager still
/// holds the lock for unsaved tokens, it saves them first.
pub(super) async fn admit(state: &State, demand: &Demand, unsaved: &Unsaved) -> Result<Admission> {
    let span = info_span!(target: TARGET, "codex_auth.lock_wait", outcome = Empty);
    traced(span, wait_for_turn(state, demand, unsaved)).await
}

async fn wait_for_turn(state: &State, demand: &Demand, unsaved: &Unsaved) -> Result<Admission> {
    let clock = &state.environment.clock;
    let (start, since) = (clock.elapsed(), clock.now());
    let mut watch = state.watch();
    let mut view = look(state).await?;
    let mut has_waited = false;
    loop {
        if let Some(outcome) = demand.answer_in(&view, state) {
            return Ok(Admission::Answered(outcome));
        }
        heed_others(state, &view, since).await?;
        let lock = match unsaved.save().await? {
            Some(lock) => Some(lock),
            None => state.storage.try_lock().await?,
        };
        if let Some(lock) = lock {
            return Ok(Admission::Locked(lock));
        }
        let waited = clock.elapsed() - start;
        if waited >= state.options.lock_timeout {
            return Err(lock_timeout(state));
        }
        if !mem::replace(&mut has_waited, true) {
            state.counters.waits.count();
        }
        state.environment.poll_pause(waited).await;
        state.counters.add_lock_wait(clock.elapsed() - start - waited);
        if watch.has_changed() {
            view = look(state).await?;
        }
    }
}

/// Fails if the store still holds the token in `view`, and the server has refused it or gave
/// another process no clear answer after `since`. That process has asked for all processes that
/// wait, and has already waited for a winner.
async fn heed_others(state: &State, view: &View, since: DateTime<Utc>) -> Result<()> {
    let Some(auth) = &view.auth else { return Ok(()) };
    let now = state.now();
    let error = match state.tokens.about(auth, now) {
        Knowledge::Refused(reason) => reason.into_error(&state.storage.location(), None),
        Knowledge::RestUntil { until, noted_at, declines } if noted_at > since => {
            not_yet(until - now, declines)
        }
        _ => return Ok(()),
    };
    let stored = state.reload().await?.auth;
    let token = stored.as_ref().and_then(CodexAuth::refresh_fingerprint);
    if token == auth.refresh_fingerprint() { Err(error) } else { Ok(()) }
}

/// Waits, for `winner_wait` at most, until another program has stored new tokens: this manager may
/// not redeem any.
pub(super) async fn await_rotation(state: &State, demand: &Demand) -> Result<Outcome> {
    let clock = &state.environment.clock;
    let end = clock.elapsed().saturating_add(state.options.winner_wait);
    let mut watch = state.watch();
    let mut is_last = false;
    loop {
        let view = state.reload().await?;
        if let Some(outcome) = demand.answer_in(&view, state) {
            return Ok(outcome);
        }
        if is_last {
            return Ok(Err(GiveUpReason::RefreshDisabled));
        }
        is_last = !watch.changes_within(end.saturating_sub(clock.elapsed())).await;
    }
}

/// Reads the store. If the stored refresh token is spent, this stores its successor again.
async fn look(state: &State) -> Result<View> {
    let view = state.reload().await?;
    if let Err(error) = repair(state, &view).await {
        tracing::debug!(%error, "a spent refresh token stays in the store for now");
    }
    Ok(view)
}

fn lock_timeout(state: &State) -> Error {
    let store = state.storage.location();
    Error::new(
        ErrorKind::LockTimeout,
        format!("another process has held the refresh lock of {store} for too long; try again"),
    )
}

impl Code for Admission {
    fn code(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Locked(_) => "locked",
        }
    }
}
