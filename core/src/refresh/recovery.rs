//! The recovery of one request from 401.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tracing::field::Empty;
use tracing::info_span;

use super::decision::{GiveUpReason, UnauthorizedRecoveryDecision};
use super::demand::{Demand, Purpose};
use super::flights::Refresh;
use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;
use crate::snapshot::CodexAuth;
use crate::trace::{TARGET, traced};

/// The state of one request's recovery from 401: it remembers which steps were tried. Clones share
/// it.
///
/// Get a new one from
/// [`AuthManager::unauthorized_recovery`](crate::AuthManager::unauthorized_recovery) for each
/// request, and pass it to
/// [`AuthManager::recover_from_unauthorized`](crate::AuthManager::recover_from_unauthorized) each
/// time the request is answered with 401.
#[derive(Debug, Clone, Default)]
pub struct UnauthorizedRecovery(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    /// Held during a call, so that two calls with one recovery run one after the other. A forked
    /// child has its own, since a thread that it does not have may hold that of its parent.
    turn: PerProcess<Mutex<()>>,
    synced: AtomicBool,
    refreshed: AtomicBool,
    reason: ArcSwapOption<GiveUpReason>,
}

impl UnauthorizedRecovery {
    /// Returns why the last call gave up; none if it did not.
    pub fn give_up_reason(&self) -> Option<GiveUpReason> {
        self.0.reason.load().as_deref().copied()
    }

    fn decide(&self, end: Result<(), GiveUpReason>) -> UnauthorizedRecoveryDecision {
        self.0.reason.store(end.err().map(Arc::new));
        match end {
            Ok(()) => UnauthorizedRecoveryDecision::Retry,
            Err(reason) => UnauthorizedRecoveryDecision::GiveUp(reason),
        }
    }
}

impl Refresh {
    /// Takes the next step to recover a request that was sent with `auth`.
    pub(crate) async fn recover(
        self: &Arc<Self>,
        auth: &CodexAuth,
        recovery: &UnauthorizedRecovery,
    ) -> Result<UnauthorizedRecoveryDecision> {
        let decided = async {
            let turn = recovery.0.turn.get_or_default();
            let _held = turn.lock().await;
            let end = self.next_step(auth, &recovery.0).await?;
            if end.is_ok() {
                self.state.counters.recoveries.count();
            }
            Ok(recovery.decide(end))
        };
        let span = info_span!(target: TARGET, "codex_auth.recovery", outcome = Empty);
        traced(span, decided).await
    }

    /// Gets a token in the place of that of `auth`, which is not taken again. None where there is
    /// nothing to get for this login.
    ///
    /// # Errors
    ///
    /// `not_supported_by_store` where the program that renews the login decides that.
    pub(crate) async fn replace(self: &Arc<Self>, auth: &CodexAuth) -> Result<Option<CodexAuth>> {
        if self.state.storage.renewer().is_some() {
            return Err(self.renewed_there());
        }
        let Some(token) = auth.access_fingerprint() else {
            self.sync(auth).await?;
            return Ok(None);
        };
        self.state.memory.reject(token);
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Rejected };
        Ok(self.wait_for(demand).await?.ok())
    }

    async fn next_step(
        self: &Arc<Self>,
        auth: &CodexAuth,
        progress: &Progress,
    ) -> Result<Result<(), GiveUpReason>> {
        let Some(rejected) = auth.access_fingerprint() else {
            return self.give_up_key(auth).await.map(Err);
        };
        self.state.memory.reject(rejected);
        if progress.refreshed.load(Ordering::SeqCst) {
            return Ok(Err(GiveUpReason::Exhausted));
        }
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Rejected };
        if !progress.synced.load(Ordering::SeqCst) {
            let (view, _) = self.sync(auth).await?;
            progress.synced.store(true, Ordering::SeqCst);
            if let Err(reason) = GiveUpReason::of(self.state.relation(auth, &view)) {
                return Ok(Err(reason));
            }
            if view.auth.is_some_and(|found| demand.is_met_by(&found, &self.state)) {
                return Ok(Ok(()));
            }
        }
        let outcome = match self.wait_for(demand).await {
            Ok(outcome) => outcome,
            Err(error) => Err(GiveUpReason::in_error(&error).ok_or(error)?),
        };
        progress.refreshed.store(outcome.is_ok(), Ordering::SeqCst);
        Ok(outcome.map(drop))
    }

    fn renewed_there(&self) -> Error {
        let message = format!(
            "{} refreshes the login; report a rejected token by recover_from_unauthorized, and let it \
             decide",
            self.state.storage.location()
        );
        Error::new(ErrorKind::NotSupportedByStore, message)
    }

    /// Reads the store after the API has rejected the key `auth`, so that the next request is sent
    /// with a key that has replaced it. Returns why the request is given up: another key may be
    /// another account's, and does not say so.
    async fn give_up_key(self: &Arc<Self>, auth: &CodexAuth) -> Result<GiveUpReason> {
        let (view, _) = self.sync(auth).await?;
        let mismatch = GiveUpReason::of(self.state.relation(auth, &view)).err();
        Ok(mismatch.unwrap_or(GiveUpReason::NotRefreshable))
    }
}
