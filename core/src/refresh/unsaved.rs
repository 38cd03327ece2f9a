//! New tokens that could not be saved yet, and the refresh lock that is held until they are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::origin::Origin;
use super::save::save_from;
use crate::error::Result;
use crate::process::PerProcess;
use crate::state::State;
use crate::storage::RefreshLock;
use crate::tasks;

const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest pause between two saves. It is short, so that the end of a process, which waits for
/// 10 seconds, includes another one.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Saves new tokens that could not be saved at once. A forked child has none of its parent's locks.
#[derive(Debug)]
pub(super) struct Unsaved {
    state: Arc<State>,
    kept: PerProcess<Mutex<Option<Kept>>>,
}

/// What is kept until the new tokens are saved.
#[derive(Debug)]
struct Kept {
    lock: Box<dyn RefreshLock>,
    /// Where the redeemed token was.
    origin: Origin,
}

impl Unsaved {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, kept: PerProcess::new() }
    }

    /// Returns whether all tokens are saved, and no save is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.kept.get().is_none_or(|kept| kept.try_lock().is_ok_and(|kept| kept.is_none()))
    }

    /// Holds `lock` until the tokens in memory are saved, and tries to save them in the background.
    /// The redeemed token was at `origin`.
    pub(super) async fn keep(self: &Arc<Self>, lock: Box<dyn RefreshLock>, origin: Origin) {
        *self.kept.get_or_default().lock().await = Some(Kept { lock, origin });
        let unsaved = Arc::clone(self);
        let retry = Box::pin(async move { unsaved.keep_saving().await });
        if let Err(error) = tasks::start(&self.state.environment, retry) {
            tracing::error!(%error, "new tokens cannot be saved before the next refresh");
        }
    }

    /// Saves the tokens that are not saved yet, and returns the lock that was held for them.
    /// Returns none if there are no such tokens.
    ///
    /// # Errors
    ///
    /// Those of the save. Until it succeeds, no refresh token may be redeemed.
    pub(super) async fn save(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        let kept = self.kept.get_or_default();
        let mut kept = kept.lock().await;
        let Some(Kept { lock, origin }) = kept.as_ref() else { return Ok(None) };
        if let Some(pair) = self.state.memory.unsaved() {
            let outcome = save_from(origin, &self.state, &pair.record).await?;
            outcome.note(&self.state);
        }
        self.state.share_saved_pair(&**lock).await;
        Ok(kept.take().map(|kept| kept.lock))
    }

    async fn keep_saving(&self) {
        let environment = &self.state.environment;
        let mut longest = FIRST_RETRY;
        loop {
            let pause = longest / 2 + environment.jitter(longest / 2);
            environment.clock.sleep(pause).await;
            match self.save().await {
                Ok(lock) => return drop(lock),
                Err(error) => tracing::debug!(%error, "new tokens are still not saved"),
            }
            longest = LONGEST_RETRY.min(longest * 2);
        }
    }
}
