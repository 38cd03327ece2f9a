//! The clocks of a machine that can be wrong and can stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::environment::{BoxFuture, Clock};

/// The clocks of a machine: its wall clock can be wrong, and its timers stop while it sleeps.
pub(crate) struct Machine {
    clock: Arc<dyn Clock>,
    ahead: AtomicI64,
    slept: AtomicI64,
    paused: AtomicI64,
}

impl Machine {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let [ahead, slept, paused] = [0; 3].map(AtomicI64::new);
        Self { clock, ahead, slept, paused }
    }

    /// Has the machine sleep for so many seconds.
    pub(crate) fn suspend(&self, seconds: i64) {
        self.slept.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Has the machine stand still for so many seconds, as a paused virtual machine does; its host
    /// sets the wall clock then.
    pub(crate) fn pause(&self, seconds: i64) {
        self.paused.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets the wall clock ahead by so many seconds more.
    pub(crate) fn step(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The time everywhere else.
    pub(crate) fn true_time(&self) -> DateTime<Utc> {
        let away = self.slept.load(Ordering::SeqCst) + self.paused.load(Ordering::SeqCst);
        self.clock.now() + TimeDelta::seconds(away)
    }
}

impl Clock for Machine {
    fn now(&self) -> DateTime<Utc> {
        self.true_time() + TimeDelta::seconds(self.ahead.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn boot_time(&self) -> Duration {
        let slept = self.slept.load(Ordering::SeqCst).unsigned_abs();
        self.elapsed() + Duration::from_secs(slept)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}
