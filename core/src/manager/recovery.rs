//! One request's way out of a 401.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::decision::{GiveUpReason, UnauthorizedRecoveryDecision};
use super::demand::{Demand, Purpose};
use super::shared::Shared;
use super::spans::{self, traced};
use super::sync::SyncOutcome;
use crate::error::Result;
use crate::process::PerProcess;
use crate::snapshot::CodexAuth;

/// How far one request's recovery has come. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct UnauthorizedRecovery(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Held through a call, so that two calls with one recovery run one after the other. A forked
    /// child has its own: its parent's may be held by a thread that it does not have.
    turn: PerProcess<Mutex<()>>,
    synced: AtomicBool,
    refreshed: AtomicBool,
    reason: ArcSwapOption<GiveUpReason>,
}

impl UnauthorizedRecovery {
    /// Why the last call gave up; none before that.
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

impl Shared {
    pub(super) async fn recover(
        self: &Arc<Self>,
        auth: &CodexAuth,
        recovery: &UnauthorizedRecovery,
    ) -> Result<UnauthorizedRecoveryDecision> {
        let decided = async {
            let turn = recovery.0.turn.get_or_default();
            let _held = turn.lock().await;
            let end = self.next_step(auth, &recovery.0).await?;
            if end.is_ok() {
                self.counters.recoveries.count();
            }
            Ok(recovery.decide(end))
        };
        traced(spans::recovery(), decided).await
    }

    async fn next_step(
        self: &Arc<Self>,
        auth: &CodexAuth,
        state: &State,
    ) -> Result<Result<(), GiveUpReason>> {
        let Some(rejected) = auth.access_fingerprint() else {
            return Ok(Err(GiveUpReason::NotRefreshable));
        };
        if state.refreshed.load(Ordering::SeqCst) {
            return Ok(Err(GiveUpReason::Exhausted));
        }
        self.memory.reject(rejected);
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Rejected };
        if !state.synced.load(Ordering::SeqCst) {
            let (view, outcome) = self.sync(auth).await?;
            state.synced.store(true, Ordering::SeqCst);
            let reason = match outcome {
                SyncOutcome::Applied { .. } => None,
                SyncOutcome::LoggedOut => Some(GiveUpReason::LoggedOut),
                SyncOutcome::IdentityMismatch => Some(GiveUpReason::IdentityMismatch),
                SyncOutcome::SkippedMissingIdentity => Some(GiveUpReason::MissingIdentity),
            };
            if let Some(reason) = reason {
                return Ok(Err(reason));
            }
            if view.auth.is_some_and(|found| self.satisfies(&found, &demand)) {
                return Ok(Ok(()));
            }
        }
        let outcome = self.fly(demand).await?;
        state.refreshed.store(outcome.is_ok(), Ordering::SeqCst);
        Ok(outcome.map(drop))
    }
}
