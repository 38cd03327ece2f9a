//! A clock that runs faster than the world's and can be put forward, so that pauses of seconds and
//! rests of hours are had in a moment, by the real HTTP client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use codex_auth_sdk::environment::{BoxFuture, Clock, Environment};

/// Seconds of this clock in one of the world's.
const SPEED: u32 = 20;

#[derive(Debug)]
pub(super) struct FastClock {
    born: (Instant, DateTime<Utc>),
    skipped: Mutex<Duration>,
}

impl FastClock {
    pub(super) fn start() -> Arc<Self> {
        Arc::new(Self { born: (Instant::now(), Utc::now()), skipped: Mutex::default() })
    }

    /// The real world but for its time.
    pub(super) fn environment(self: &Arc<Self>) -> Environment {
        let mut environment = Environment::default();
        environment.clock = Arc::clone(self) as Arc<dyn Clock>;
        environment
    }

    /// Lets `duration` pass at once.
    pub(super) fn skip(&self, duration: Duration) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) += duration;
    }
}

impl Clock for FastClock {
    fn now(&self) -> DateTime<Utc> {
        self.born.1 + TimeDelta::from_std(self.elapsed()).expect("some days at most")
    }

    fn elapsed(&self) -> Duration {
        let skipped = *self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        self.born.0.elapsed() * SPEED + skipped
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration / SPEED))
    }
}
