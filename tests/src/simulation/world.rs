//! Everything that one run is made of.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use codex_auth_sdk::AuthManagerBuilder;
use codex_auth_sdk::environment::{BoxFuture, Clock, Environment, Random as _, Spawner};
use tokio::sync::watch;

use super::executor::{Executor, ProcessId};
use super::hazards::Hazards;
use super::issuer::Endpoint;
use super::journal::Event;
use super::program;
use super::record::wall;
use super::state::State;
use super::storage::Storage;
use crate::chance::Chance;

/// See the module.
pub(super) struct World {
    pub(super) executor: Executor,
    /// What happens, and when; the order of tasks is decided apart from it.
    pub(super) chance: Arc<Chance>,
    pub(super) hazards: Hazards,
    /// The process of the issuer and of fate, which never ends.
    pub(super) fate: ProcessId,
    /// Rung where everybody is to make a request at once.
    pub(super) bell: watch::Sender<u64>,
    state: Mutex<State>,
}

impl World {
    pub(super) fn new(
        executor: Executor,
        chance: Arc<Chance>,
        hazards: Hazards,
        keeps_all: bool,
    ) -> Arc<Self> {
        let fate = executor.start_process();
        let state = Mutex::new(State::new(executor.clone(), &hazards, keeps_all));
        Arc::new(Self { executor, chance, hazards, fate, bell: watch::Sender::new(0), state })
    }

    /// What is so right now. Never kept over an `await`.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    pub(super) fn environment(&self, process: ProcessId) -> Environment {
        Environment::new(
            Arc::new(ProcessClock(self.executor.clone())),
            Arc::new(ProcessTasks { executor: self.executor.clone(), process }),
            Arc::clone(&self.chance) as _,
        )
    }

    /// Options of the manager that `process` makes in this `life`.
    pub(super) fn builder(self: &Arc<Self>, process: ProcessId, life: u32) -> AuthManagerBuilder {
        let storage = Storage { world: Arc::clone(self), process };
        let endpoint = Endpoint { world: Arc::clone(self), process, life };
        codex_auth_sdk::AuthManager::builder()
            .storage(Arc::new(storage) as _)
            .token_endpoint(Arc::new(endpoint) as _)
            .environment(self.environment(process))
    }

    pub(super) fn spawn(
        &self,
        process: ProcessId,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.executor.spawn(process, Box::pin(task));
    }

    /// Whether programs still run and things still go wrong.
    pub(super) fn goes_on(&self) -> bool {
        self.executor.now() < self.hazards.horizon
    }

    /// Waits so many milliseconds, at least and at most.
    pub(super) async fn pause(&self, shortest: u64, longest: u64) {
        self.executor.sleep(self.chance.millis(shortest, longest)).await;
    }

    pub(super) fn disk_fails(&self) -> bool {
        self.goes_on() && self.chance.happens(self.hazards.disk_faults)
    }

    /// Ends `process` at once, as the system does it: first its locks are free, then nothing of it
    /// runs any more.
    pub(super) fn kill(self: &Arc<Self>, process: ProcessId) {
        let remains = self.executor.kill(process);
        let luck = self.chance.unit();
        let was_program = self.state().killed(process, luck);
        drop(remains);
        if was_program {
            let world = Arc::clone(self);
            self.spawn(self.fate, async move {
                world.pause(0, 5000).await;
                program::start(&world);
            });
        }
    }

    /// A step at which `process` may die; then this never returns.
    pub(super) async fn may_crash(self: &Arc<Self>, process: ProcessId) {
        if self.goes_on() && self.chance.happens(self.hazards.deadly_steps) {
            self.kill(process);
            std::future::pending::<()>().await;
        }
    }
}

/// A call of the SDK, until it ends or nobody waits for it any more.
pub(super) struct Call {
    world: Arc<World>,
    process: ProcessId,
    what: &'static str,
    began: (Duration, u64),
}

impl World {
    pub(super) fn begin(self: &Arc<Self>, process: ProcessId, what: &'static str) -> Call {
        let mut state = self.state();
        state.note(Event::Called(process, what));
        state.last_call += 1;
        let began = (state.now(), state.last_call);
        state.calls.insert(began, process);
        if let Some(member) = state.members.get_mut(&process) {
            member.calls += 1;
            // What two calls do at once is not told apart.
            member.signs_out = None;
        }
        drop(state);
        Call { world: Arc::clone(self), process, what, began }
    }
}

impl Call {
    /// The call has come to `code`.
    pub(super) fn end(self, code: &'static str) {
        let mut state = self.world.state();
        state.note(Event::Ended(self.process, self.what, code));
        let took = state.now().saturating_sub(self.began.0);
        state.judge_time(self.process, self.what, self.began.0);
        state.tally.slowest = state.tally.slowest.max(took);
        state.tally.calls += 1;
        if code != "ok" {
            *state.tally.errors.entry(code).or_default() += 1;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.world.state();
        state.calls.remove(&self.began);
        if let Some(member) = state.members.get_mut(&self.process) {
            member.calls -= 1;
        }
    }
}

struct ProcessClock(Executor);

impl Clock for ProcessClock {
    fn now(&self) -> DateTime<Utc> {
        wall(self.0.now())
    }

    fn elapsed(&self) -> Duration {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.0.sleep(duration))
    }
}

struct ProcessTasks {
    executor: Executor,
    process: ProcessId,
}

impl Spawner for ProcessTasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.executor.spawn(self.process, task);
        Ok(())
    }
}
