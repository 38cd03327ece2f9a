//! What is still to be saved: a rotated pair, with the refresh lock that is kept until it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::save::save;
use crate::error::Result;
use crate::process::PerProcess;
use crate::state::State;
use crate::storage::RefreshLock;
use crate::tasks;

const FIRST_RETRY: Duration = Duration::from_millis(250);

/// Short enough that a program which waits before it exits sees another attempt.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Saves a pair that could not be saved at once. A forked child has none of its parent's locks.
#[derive(Debug)]
pub(super) struct Unsaved {
    state: Arc<State>,
    /// The refresh lock that is kept until the pair is saved.
    kept: PerProcess<Mutex<Option<Box<dyn RefreshLock>>>>,
}

impl Unsaved {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, kept: PerProcess::new() }
    }

    /// Whether there is no pair to save, and none that is being saved.
    pub(super) fn is_idle(&self) -> bool {
        self.kept.get().is_none_or(|kept| kept.try_lock().is_ok_and(|kept| kept.is_none()))
    }

    /// Keeps `lock` until the pair in memory is saved, and keeps trying to.
    pub(super) async fn keep(self: &Arc<Self>, lock: Box<dyn RefreshLock>) {
        *self.kept.get_or_default().lock().await = Some(lock);
        let unsaved = Arc::clone(self);
        let retry = Box::pin(async move { unsaved.keep_saving().await });
        if let Err(error) = tasks::start(&self.state.environment, retry) {
            // The next refresh saves it.
            tracing::error!(%error, "refreshed tokens are not saved in the background");
        }
    }

    /// Saves a pair that is still to be saved; then the lock that was kept for it.
    ///
    /// # Errors
    ///
    /// Why it still cannot be saved: until it is, nothing may be redeemed.
    pub(super) async fn save(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        let kept = self.kept.get_or_default();
        let mut kept = kept.lock().await;
        let Some(lock) = kept.as_ref() else { return Ok(None) };
        if let Some(pair) = self.state.memory.unsaved() {
            let outcome = save(&self.state, &pair.record).await?;
            outcome.note(&self.state);
        }
        self.state.share_saved_pair(&**lock);
        Ok(kept.take())
    }

    async fn keep_saving(&self) {
        let environment = &self.state.environment;
        let mut longest = FIRST_RETRY;
        loop {
            let pause = longest / 2 + environment.jitter(longest / 2);
            environment.clock.sleep(pause).await;
            match self.save().await {
                Ok(lock) => return drop(lock),
                Err(error) => tracing::debug!(%error, "refreshed tokens are still not saved"),
            }
            longest = LONGEST_RETRY.min(longest * 2);
        }
    }
}
