//! Deriving keys: seconds of work and half a gigabyte, so on a thread of its own and one at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;

/// Held by the one derivation of a process. A forked child has turns of its own: its parent's may
/// have been held at the fork by a thread that the child lacks.
static TURNS: PerProcess<Mutex<()>> = PerProcess::new();

/// The right to derive, held until that is done, whether a caller waits for it or not.
pub(super) struct Turn {
    _one: OwnedMutexGuard<()>,
}

impl Turn {
    /// Waits for this process's other derivations.
    pub(super) async fn wait() -> Self {
        Self { _one: TURNS.get_or_default().lock_owned().await }
    }
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
                // No caller listens to an answer that came too late.
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
