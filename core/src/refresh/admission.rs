//! Waits for the refresh lock, for the answer of another process that holds it, or for the program
//! that renews a login which this manager may not refresh.

use std::mem;
use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use tracing::field::Empty;
use tracing::info_span;

use super::decision::GiveUpReason;
use super::demand::{Demand, Outcome, Purpose};
use super::save::repair;
use super::turn::not_yet;
use super::unsaved::Unsaved;
use crate::error::{Error, ErrorKind, Result, transient};
use crate::ledger::Knowledge;
use crate::snapshot::CodexAuth;
use crate::state::{State, StoreWatch, View};
use crate::storage::{RefreshLock, Renewer};
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
///
/// It takes no lock for a login that only another program can renew: it waits until that program
/// has.
pub(super) async fn admit(state: &State, demand: &Demand, unsaved: &Unsaved) -> Result<Admission> {
    let span = info_span!(target: TARGET, "codex_auth.lock_wait", outcome = Empty);
    traced(span, wait_for_turn(state, demand, unsaved)).await
}

async fn wait_for_turn(state: &State, demand: &Demand, unsaved: &Unsaved) -> Result<Admission> {
    let clock = &state.environment.clock;
    let (start, since) = (clock.elapsed(), clock.now());
    let mut watch = state.watch();
    let mut view = match follow(state, demand, &mut watch).await? {
        ControlFlow::Continue(view) => view,
        ControlFlow::Break(outcome) => return Ok(Admission::Answered(outcome)),
    };
    let mut has_waited = false;
    loop {
        if let Some(outcome) = demand.answer_in(&view, state) {
            return Ok(Admission::Answered(outcome));
        }
        heed_others(state, &view, since).await?;
        // A lock that was kept for tokens of another place is not the store's.
        let kept = unsaved.save().await?.filter(|lock| lock.check().is_ok());
        let lock = match kept {
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
        watch.pause(waited).await;
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

/// Reads the store until it has the answer to `demand`, or a login that this manager may redeem.
///
/// While it has neither, another program must renew the login if the access token does not work any
/// more: one that can be asked to is asked, and any other gets `winner_wait` for that.
async fn follow(
    state: &State,
    demand: &Demand,
    watch: &mut StoreWatch<'_>,
) -> Result<ControlFlow<Outcome, View>> {
    let clock = &state.environment.clock;
    let end = clock.elapsed().saturating_add(state.options.winner_wait);
    let mut is_last = false;
    loop {
        let view = look(state).await?;
        if let Some(outcome) = demand.answer_in(&view, state) {
            return Ok(ControlFlow::Break(outcome));
        }
        let Some(auth) = view.auth.as_ref().filter(|auth| !state.may_redeem(auth)) else {
            return Ok(ControlFlow::Continue(view));
        };
        if is_last || demand.is_ahead_of_time(auth, state) {
            return not_renewed(state, demand, auth).map(Err).map(ControlFlow::Break);
        }
        is_last = match state.storage.renewer().filter(|_| state.options.may_refresh()) {
            Some(renewer) => ask(renewer, demand).await.map(|()| true)?,
            None => !watch.changes_within(end.saturating_sub(clock.elapsed())).await,
        };
    }
}

/// Asks the program that renews the login for another token than a rejected one. It renews an expired
/// one without that, at each read of the store.
async fn ask(renewer: &dyn Renewer, demand: &Demand) -> Result<()> {
    match demand.purpose {
        Purpose::Rejected => renewer.renew(demand.auth.record()).await,
        Purpose::Proactive | Purpose::Repair => Ok(()),
    }
}

/// Returns why there is no newer token than that of `auth`, which only another program can renew.
/// Fails, and warns of it once, if that program should have done so.
fn not_renewed(state: &State, demand: &Demand, auth: &CodexAuth) -> Result<GiveUpReason> {
    if auth.managed_tokens().is_some() {
        return Ok(GiveUpReason::RefreshDisabled);
    }
    if demand.is_ahead_of_time(auth, state) {
        return Ok(GiveUpReason::NotRefreshable);
    }
    let store = state.storage.location();
    let end = if demand.purpose == Purpose::Rejected { "was rejected" } else { "has expired" };
    let error = transient(format!(
        "the access token in {store} {end}, and the program that renews it there has not done so; \
         see that it runs, or sign in"
    ));
    let error = error.with_reason(GiveUpReason::NotRefreshable.as_str());
    state.warn_once(auth, &error);
    Err(error)
}

/// Reads the store. If the stored refresh token is spent, this stores its successor again, unless
/// this manager may not refresh.
async fn look(state: &State) -> Result<View> {
    let view = state.reload().await?;
    if state.options.may_refresh() {
        // A repair that fails says so, and the successor is used either way.
        drop(repair(state, &view).await);
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
