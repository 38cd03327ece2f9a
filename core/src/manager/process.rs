//! What of a manager belongs to one process: a forked child has none of its parent's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::demand::{Key, Outcome};
use super::events::Subscribers;
use crate::error::Result;
use crate::secret::Fingerprint;
use crate::storage::RefreshLock;

/// Where the outcome of a flight appears.
pub(super) type Answer = watch::Receiver<Option<Result<Outcome>>>;

/// What belongs to one process.
#[derive(Debug)]
pub(super) struct Process {
    flights: Mutex<HashMap<Key, Answer>>,
    /// A pair that could not be saved, with the refresh lock that is kept for it.
    pub(super) unsaved: tokio::sync::Mutex<Option<Unsaved>>,
    tasks: watch::Sender<usize>,
    pub(super) subscribers: Subscribers,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            flights: Mutex::default(),
            unsaved: tokio::sync::Mutex::default(),
            tasks: watch::Sender::new(0),
            subscribers: Subscribers::default(),
        }
    }
}

impl Process {
    /// Counts a task that [`Shared::close`] waits for, until it is dropped.
    pub(super) fn task(self: &Arc<Self>) -> Task {
        self.tasks.send_modify(|tasks| *tasks += 1);
        Task(Arc::clone(self))
    }

    pub(super) fn is_idle(&self) -> bool {
        *self.tasks.borrow() == 0
    }

    pub(super) fn flights(&self) -> MutexGuard<'_, HashMap<Key, Answer>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct Task(pub(super) Arc<Process>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|tasks| *tasks -= 1);
    }
}

/// The refresh lock that is kept until a pair is saved.
#[derive(Debug)]
pub(super) struct Unsaved {
    pub(super) lock: Box<dyn RefreshLock>,
    /// What the pair was redeemed for.
    pub(super) redeemed: Fingerprint,
    pub(super) _task: Task,
}
