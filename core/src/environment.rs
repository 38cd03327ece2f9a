//! Time, tasks and chance. The refresh protocol gets them from outside, so that tests run the same
//! code under a paused clock.

mod boot;
mod moment;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ring::rand::{SecureRandom, SystemRandom};

pub use self::moment::BootId;
pub(crate) use self::moment::Moment;
use crate::process;

/// The bounds of the longest interval between two looks of a caller that waits.
const SHORTEST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_millis(250);

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A wall clock, clocks that never jump, and a way to wait.
pub trait Clock: Send + Sync {
    /// Returns the time of the wall clock.
    fn now(&self) -> DateTime<Utc>;

    /// Returns the time since a fixed moment. It does not jump when the wall clock is set.
    fn elapsed(&self) -> Duration;

    /// Returns the time since the boot that [`boot_id`](Self::boot_id) names, which includes the
    /// time in which the machine slept. It does not jump when the wall clock is set. By default it
    /// is [`elapsed`](Self::elapsed).
    fn boot_time(&self) -> Duration {
        self.elapsed()
    }

    /// Returns the name of the moment from which [`boot_time`](Self::boot_time) counts. Programs on
    /// one store compare their boot times if they have the same name.
    fn boot_id(&self) -> BootId {
        BootId::of(b"")
    }

    /// Waits for `duration`. It is awaited on tasks of the [`Spawner`] only.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// A way to run the tasks that must outlive their callers: redemptions and saves.
pub trait Spawner: Send + Sync {
    /// Starts `task`. It runs to its end, also if the caller is cancelled; the end of the process
    /// waits for it.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()>;

    /// Starts a `task` that only reads: the end of the process does not wait for it.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn).
    fn spawn_read(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.spawn(task)
    }

    /// Returns whether the end of the process waits for the tasks that were [spawned](Self::spawn).
    /// By default it does. Where it may not, a refresh that is due makes its caller wait.
    fn waits_at_exit(&self) -> bool {
        true
    }
}

/// A source of random numbers, for jitter.
pub trait Random: Send + Sync {
    /// Returns a number from 0 to below 1.
    fn unit(&self) -> f64;
}

/// The clock, the tasks and the chance that a manager uses. [`Environment::default`] has the real
/// ones.
#[derive(Clone)]
#[non_exhaustive]
pub struct Environment {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The tasks.
    pub spawner: Arc<dyn Spawner>,
    /// The random numbers.
    pub random: Arc<dyn Random>,
}

impl Environment {
    /// Creates an environment of these parts.
    pub fn new(clock: Arc<dyn Clock>, spawner: Arc<dyn Spawner>, random: Arc<dyn Random>) -> Self {
        Self { clock, spawner, random }
    }

    /// Returns what both clocks say now.
    pub(crate) fn moment(&self) -> Moment {
        Moment::new(self.clock.now(), self.clock.boot_id(), self.clock.boot_time())
    }

    /// Returns a random part of `longest` (full jitter).
    pub(crate) fn jitter(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.unit())
    }

    /// Returns the output of `future`, or none if it takes longer than `longest`.
    pub(crate) async fn within<T>(
        &self,
        longest: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        let mut end = self.clock.sleep(longest);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => end.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// Waits for one interval between two looks, with jitter, so that many callers do not look at
    /// the same moment. The interval grows with the time that the caller has `waited`, so that many
    /// patient callers cost little.
    pub(crate) async fn poll_pause(&self, waited: Duration) {
        self.clock.sleep(self.poll_interval(waited)).await;
    }

    /// Returns the interval for which [`poll_pause`](Self::poll_pause) waits.
    pub(crate) fn poll_interval(&self, waited: Duration) -> Duration {
        let longest = (waited / 16).clamp(SHORTEST_POLL, LONGEST_POLL);
        longest / 4 + self.jitter(longest * 3 / 4)
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::default()),
            spawner: Arc::new(OwnThread),
            random: Arc::new(SystemChance),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

/// The clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    /// The moment from which [`elapsed`](Clock::elapsed) counts.
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn boot_time(&self) -> Duration {
        boot::time()
    }

    fn boot_id(&self) -> BootId {
        boot::id()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { tokio::time::sleep(duration).await })
    }
}

/// Starts tasks on this crate's own thread.
struct OwnThread;

impl Spawner for OwnThread {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        process::spawn(task)
    }

    fn spawn_read(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        process::spawn_read(task)
    }

    fn waits_at_exit(&self) -> bool {
        process::waits_at_exit()
    }
}

struct SystemChance;

impl Random for SystemChance {
    fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        // Without random numbers every wait is as long as allowed, which is slower but not wrong.
        match SystemRandom::new().fill(&mut bytes) {
            Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
            Err(_) => 0.999,
        }
    }
}
