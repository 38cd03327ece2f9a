//! Deriving keys: seconds of work and half a gigabyte, so on a thread of its own and one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::error::{Error, ErrorKind, Result};

static TURNS: ArcSwapOption<Turns> = ArcSwapOption::const_empty();

/// Who may derive in this process; a forked child has turns of its own.
struct Turns {
    process: u32,
    one: Arc<Mutex<()>>,
}

/// The right to derive, held until that is done, whoever waits for it.
pub(super) struct Turn {
    _one: OwnedMutexGuard<()>,
}

impl Turn {
    /// Waits for this process's other derivations.
    pub(super) async fn wait() -> Self {
        let turns = Arc::clone(&turns().one);
        Self { _one: turns.lock_owned().await }
    }
}

fn turns() -> Arc<Turns> {
    let process = std::process::id();
    let known = TURNS.load_full();
    if let Some(own) = known.as_ref().filter(|turns| turns.process == process) {
        return Arc::clone(own);
    }
    let own = Arc::new(Turns { process, one: Arc::default() });
    let previous = TURNS.compare_and_swap(&known, Some(Arc::clone(&own)));
    let faster = previous.as_ref().filter(|turns| turns.process == process).map(Arc::clone);
    // The parent's turns may have been held at the fork by a thread that this process lacks.
    std::mem::forget(known);
    faster.unwrap_or(own)
}

/// Derivations of one store, counted.
#[derive(Debug, Default)]
pub(super) struct Derivations(AtomicUsize);

impl Derivations {
    /// Does `work` on a thread of its own, and gives the turn back with what came of it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Turn)> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        thread::Builder::new()
            .name("codex-auth-sdk-derivation".to_owned())
            .spawn(move || {
                // Nobody listens to an answer that came too late.
                drop(sender.send((work(), turn)));
            })
            .map_err(|error| interrupted(&error.to_string()))?;
        receiver.await.map_err(|_| interrupted("its thread ended"))
    }

    #[cfg(feature = "test-util")]
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn interrupted(why: &str) -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        format!("the key of the encrypted login could not be derived: {why}; try again"),
    )
}
