//! Refreshes in flight: everybody who asks for the same thing waits for the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::recovery::GiveUpReason;
use super::save::Unsaved;
use super::shared::{Shared, interrupted};
use crate::error::Result;
use crate::identity::Identity;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    /// The snapshot in whose place a token is wanted.
    pub(super) auth: CodexAuth,
    pub(super) purpose: Purpose,
}

impl Demand {
    fn key(&self) -> Key {
        (self.auth.identity().clone(), self.auth.access_fingerprint(), self.purpose)
    }
}

/// Why it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// The token was rejected: another one is needed.
    Rejected,
    /// The token is about to expire, or has: one with more life is needed.
    Proactive,
    /// The store holds a spent token in the place of the newer one in memory.
    Repair,
}

/// The new snapshot, or why there is none for this login.
pub(super) type Outcome = Result<CodexAuth, GiveUpReason>;

type Answer = watch::Receiver<Option<Result<Outcome>>>;

/// Whose token, which one, and what for: one token in two accounts' records is two things.
type Key = (Identity, Option<Fingerprint>, Purpose);

/// What belongs to one process.
#[derive(Debug)]
pub(super) struct Process {
    id: u32,
    flights: Mutex<HashMap<Key, Answer>>,
    /// A pair that could not be saved, with the refresh lock that is kept for it.
    pub(super) unsaved: tokio::sync::Mutex<Option<Unsaved>>,
    tasks: watch::Sender<usize>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            id: std::process::id(),
            flights: Mutex::default(),
            unsaved: tokio::sync::Mutex::default(),
            tasks: watch::Sender::new(0),
        }
    }
}

impl Process {
    pub(super) fn is_own(&self) -> bool {
        self.id == std::process::id()
    }

    /// Counts a task that [`Shared::close`] waits for, until it is dropped.
    pub(super) fn task(self: &Arc<Self>) -> Task {
        self.tasks.send_modify(|tasks| *tasks += 1);
        Task(Arc::clone(self))
    }

    fn is_idle(&self) -> bool {
        *self.tasks.borrow() == 0
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Key, Answer>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct Task(Arc<Process>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|tasks| *tasks -= 1);
    }
}

/// A flight's place among the others, given up however it ends.
struct Flight {
    task: Task,
    key: Key,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.task.0.flights().remove(&self.key);
    }
}

impl Shared {
    /// Waits for what `demand` comes to.
    pub(super) async fn fly(self: &Arc<Self>, demand: Demand) -> Result<Outcome> {
        let mut answer = self.join(demand)?;
        let answer = answer.wait_for(Option::is_some).await.map_err(|_| interrupted())?;
        answer.clone().ok_or_else(interrupted)?
    }

    /// Joins the flight for `demand`, or starts it. It goes on whether anybody waits or not.
    pub(super) fn join(self: &Arc<Self>, demand: Demand) -> Result<Answer> {
        let process = self.process();
        let key = demand.key();
        let mut flights = process.flights();
        if let Some(answer) = flights.get(&key) {
            return Ok(answer.clone());
        }
        let (sender, answer) = watch::channel(None);
        flights.insert(key.clone(), answer.clone());
        drop(flights);
        let flight = Flight { task: process.task(), key };
        let shared = Arc::clone(self);
        self.spawn(Box::pin(async move {
            let result = shared.fulfil(&demand).await;
            // Whoever comes now reads the store, which has the answer.
            drop(flight);
            sender.send_replace(Some(result));
        }))?;
        Ok(answer)
    }

    pub(super) async fn close(self: &Arc<Self>, timeout: Duration) -> bool {
        let process = self.process();
        if process.is_idle() {
            return true;
        }
        let shared = Arc::clone(self);
        let wait = async move {
            let environment = &shared.environment;
            let end = environment.clock.elapsed().saturating_add(timeout);
            // The next attempt may be far off; this is the moment for one, which may take longer
            // than we have.
            let saver = Arc::clone(&shared);
            let save = Box::pin(async move { drop(saver.save_unsaved().await) });
            shared.spawn(save).unwrap_or_default();
            while !process.is_idle() {
                if environment.clock.elapsed() >= end {
                    return false;
                }
                environment.poll_pause().await;
            }
            true
        };
        self.on_worker(wait).await.unwrap_or(false)
    }
}
