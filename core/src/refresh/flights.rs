//! Refreshes in flight: all callers with the same demand wait for one outcome.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::admission::{Admission, admit};
use super::attempt::Attempt;
use super::demand::{Demand, Key, Outcome, Purpose};
use super::pause::begin_pause;
use super::repairs::Repairs;
use super::unsaved::Unsaved;
use crate::error::{Error, Result};
use crate::process::PerProcess;
use crate::snapshot::CodexAuth;
use crate::state::{Event, State, SyncOutcome, View};
use crate::tasks::{self, interrupted};
use crate::token_endpoint::TokenEndpoint;
use crate::trace::traced;

/// The receiver of a flight's outcome.
type Answer = watch::Receiver<Option<Result<Outcome>>>;

/// Replaces the tokens of a snapshot, by those in the store or by a redemption.
#[derive(Debug)]
pub(crate) struct Refresh {
    pub(super) state: Arc<State>,
    endpoint: Arc<dyn TokenEndpoint>,
    unsaved: Arc<Unsaved>,
    repairs: Repairs,
    /// A forked child has none of its parent's flights.
    flights: PerProcess<Flights>,
}

#[derive(Debug, Default)]
struct Flights(Mutex<HashMap<Key, Answer>>);

/// A flight's entry in the table, which is removed when this is dropped.
struct Flight {
    flights: Arc<Flights>,
    key: Key,
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

impl Refresh {
    pub(crate) fn new(state: Arc<State>, endpoint: Arc<dyn TokenEndpoint>) -> Self {
        let unsaved = Arc::new(Unsaved::new(Arc::clone(&state)));
        let (repairs, flights) = (Repairs::default(), PerProcess::new());
        Self { state, endpoint, unsaved, repairs, flights }
    }

    /// Waits for the outcome of `demand`.
    pub(crate) async fn wait_for(self: &Arc<Self>, demand: Demand) -> Result<Outcome> {
        let (mut answer, is_new) = self.board(demand)?;
        if !is_new {
            self.state.counters.waits.count();
        }
        let answer = answer.wait_for(Option::is_some).await.map_err(|_| interrupted())?;
        answer.clone().ok_or_else(interrupted)?
    }

    /// Starts a flight for `demand`, unless there is one. It goes on even if no caller waits.
    pub(crate) fn start(self: &Arc<Self>, demand: Demand) -> Result<()> {
        self.board(demand).map(drop)
    }

    /// Starts a flight that stores the successor of a spent refresh token again, if another program has
    /// put that back in `view`: the next program would present it. Returns whether there is nothing
    /// more to do.
    pub(crate) fn put_right(self: &Arc<Self>, view: &View) -> bool {
        let state = &self.state;
        let Some(auth) = view.successor.as_ref().filter(|_| state.options.may_refresh()) else {
            return true;
        };
        // Tokens that could not be saved are saved again without this.
        if !state.memory.has_unsaved() && self.repairs.may_begin(state.now()) {
            let repair = Demand { auth: auth.clone(), purpose: Purpose::Repair };
            if let Err(error) = self.start(repair) {
                tracing::warn!(%error, "a spent refresh token stays in the store for now");
            }
        }
        false
    }

    /// Reads the store and returns how the stored login relates to `auth`. If the stored refresh
    /// token is spent, this starts a repair.
    pub(crate) async fn sync(self: &Arc<Self>, auth: &CodexAuth) -> Result<(View, SyncOutcome)> {
        let view = self.state.reload().await?;
        self.put_right(&view);
        let outcome = SyncOutcome::of(self.state.relation(auth, &view), view.changed);
        Ok((view, outcome))
    }

    /// Waits, for `timeout` at most, until no refresh is in flight and all tokens are saved.
    /// Returns whether that is so.
    pub(crate) async fn close(self: &Arc<Self>, timeout: Duration) -> bool {
        if self.is_idle() {
            return true;
        }
        let refresh = Arc::clone(self);
        let wait = async move { refresh.wait_until_idle(timeout).await };
        tasks::run(&self.state.environment, wait).await.unwrap_or(false)
    }

    async fn wait_until_idle(self: Arc<Self>, timeout: Duration) -> bool {
        let environment = &self.state.environment;
        let start = environment.clock.elapsed();
        let end = start.saturating_add(timeout);
        // The next save in the background may be seconds off, so this starts one now. It may take
        // longer than the timeout, so it is a task of its own.
        let unsaved = Arc::clone(&self.unsaved);
        let save = Box::pin(async move { drop(unsaved.save().await) });
        tasks::start(environment, save).unwrap_or_default();
        while !self.is_idle() {
            let now = environment.clock.elapsed();
            if now >= end {
                return false;
            }
            environment.poll_pause(now - start).await;
        }
        true
    }

    fn is_idle(&self) -> bool {
        let is_flying = self.flights.get().is_some_and(|flights| !flights.lock().is_empty());
        !is_flying && self.unsaved.is_idle()
    }

    /// Joins the flight for `demand`, or starts one. Also returns whether it started one.
    fn board(self: &Arc<Self>, demand: Demand) -> Result<(Answer, bool)> {
        let process = self.flights.get_or_default();
        let key = demand.key();
        let mut flights = process.lock();
        if let Some(answer) = flights.get(&key) {
            return Ok((answer.clone(), false));
        }
        let (sender, answer) = watch::channel(None);
        flights.insert(key.clone(), answer.clone());
        drop(flights);
        let flight = Flight { flights: process, key };
        let refresh = Arc::clone(self);
        let span = demand.span();
        let fly = Box::pin(async move {
            let result = traced(span, refresh.fulfil(&demand)).await;
            // From here on the store has the answer, which the next caller reads.
            drop(flight);
            sender.send_replace(Some(result));
        });
        tasks::start(&self.state.environment, fly)?;
        Ok((answer, true))
    }

    /// Meets `demand`. This runs on the crate's own thread.
    async fn fulfil(&self, demand: &Demand) -> Result<Outcome> {
        let (state, result) = (&self.state, self.renew(demand).await);
        if let Err(error) = &result {
            state.counters.failures.count();
            state.announce(Event::RefreshFailed(error.clone()));
        }
        if demand.purpose == Purpose::Proactive && !matches!(result, Ok(Ok(_))) {
            let retry_after = result.as_ref().err().and_then(Error::retry_after);
            begin_pause(state, demand, retry_after);
        }
        result
    }

    async fn renew(&self, demand: &Demand) -> Result<Outcome> {
        match admit(&self.state, demand, &self.unsaved).await? {
            Admission::Answered(outcome) => Ok(outcome),
            Admission::Locked(lock) => {
                let attempt = Attempt::new(&self.state, &*self.endpoint, demand, lock);
                attempt.run(&self.unsaved).await
            }
        }
    }
}
