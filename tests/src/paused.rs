//! The world under a paused clock: time that passes when everybody waits, tasks on the runtime at
//! hand, and chance that repeats. The core's own tests have this file too.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use codex_auth_sdk::environment::{BoxFuture, Clock, Environment, Random, Spawner};

/// An environment on the Tokio runtime that this is called on, whose clock stands still unless
/// every task waits (`start_paused`). The wall clock starts at `start`.
///
/// # Panics
///
/// Outside of a Tokio runtime, once a task is spawned.
pub fn simulated(start: DateTime<Utc>) -> Environment {
    let clock = TokioClock { start, origin: Instant::now() };
    Environment::new(Arc::new(clock), Arc::new(TokioSpawner), Arc::new(Middle))
}

struct TokioClock {
    start: DateTime<Utc>,
    origin: Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + TimeDelta::from_std(self.elapsed()).unwrap_or(TimeDelta::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { tokio::time::sleep(duration).await })
    }
}

struct TokioSpawner;

impl Spawner for TokioSpawner {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        drop(tokio::spawn(task));
        Ok(())
    }
}

struct Middle;

impl Random for Middle {
    fn unit(&self) -> f64 {
        0.5
    }
}
