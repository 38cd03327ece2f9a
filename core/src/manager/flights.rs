//! Refreshes in flight: everybody who asks for the same thing waits for the same answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::demand::{Demand, Key, Outcome};
use super::process::{Answer, Task};
use super::shared::{Shared, interrupted};
use super::spans::{self, traced};
use crate::error::Result;

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
        let (mut answer, is_new) = self.board(demand)?;
        if !is_new {
            self.counters.waits.count();
        }
        let answer = answer.wait_for(Option::is_some).await.map_err(|_| interrupted())?;
        answer.clone().ok_or_else(interrupted)?
    }

    /// Joins the flight for `demand`, or starts it. It goes on whether anybody waits or not.
    pub(super) fn join(self: &Arc<Self>, demand: Demand) -> Result<Answer> {
        Ok(self.board(demand)?.0)
    }

    /// The same; also whether the flight was started.
    fn board(self: &Arc<Self>, demand: Demand) -> Result<(Answer, bool)> {
        let process = self.process();
        let key = demand.key();
        let mut flights = process.flights();
        if let Some(answer) = flights.get(&key) {
            return Ok((answer.clone(), false));
        }
        let (sender, answer) = watch::channel(None);
        flights.insert(key.clone(), answer.clone());
        drop(flights);
        let flight = Flight { task: process.task(), key };
        let shared = Arc::clone(self);
        let span = spans::refresh(demand.purpose);
        self.spawn(Box::pin(async move {
            let result = traced(span, shared.fulfil(&demand)).await;
            // Whoever comes now reads the store, which has the answer.
            drop(flight);
            sender.send_replace(Some(result));
        }))?;
        Ok((answer, true))
    }

    pub(super) async fn close(self: &Arc<Self>, timeout: Duration) -> bool {
        let process = self.process();
        if process.is_idle() {
            return true;
        }
        let shared = Arc::clone(self);
        let wait = async move {
            let environment = &shared.environment;
            let start = environment.clock.elapsed();
            let end = start.saturating_add(timeout);
            // The next attempt may be far off; this is the moment for one, which may take longer
            // than we have.
            let saver = Arc::clone(&shared);
            let save = Box::pin(async move { drop(saver.save_unsaved().await) });
            shared.spawn(save).unwrap_or_default();
            while !process.is_idle() {
                let now = environment.clock.elapsed();
                if now >= end {
                    return false;
                }
                environment.poll_pause(now - start).await;
            }
            true
        };
        self.on_worker(wait).await.unwrap_or(false)
    }
}
