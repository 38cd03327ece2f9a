//! The world outside, as the protocol sees it: time, tasks and chance. Injected, so that the code
//! that ships also runs under a paused clock.

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

/// The bounds of the longest pause between two looks at something that is waited for.
const SHORTEST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_millis(250);

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The wall clock, clocks that never jump, and a way to wait.
pub trait Clock: Send + Sync {
    /// The wall clock's time.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed moment, untouched by changes of the wall clock.
    fn elapsed(&self) -> Duration;

    /// Time since the boot that [`boot_id`](Self::boot_id) names, untouched by changes of the wall
    /// clock; time in which the machine slept counts. By default [`elapsed`](Self::elapsed).
    fn boot_time(&self) -> Duration {
        self.elapsed()
    }

    /// Names the moment that [`boot_time`](Self::boot_time) counts from. Programs on one store
    /// compare their times where they have the same.
    fn boot_id(&self) -> BootId {
        BootId::of(b"")
    }

    /// Waits; only awaited on tasks started by the [`Spawner`].
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Runs the tasks that must outlive their callers: redemptions and saves.
pub trait Spawner: Send + Sync {
    /// Starts `task`, which runs to its end whatever becomes of the caller. The end of the process
    /// waits for it.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()>;

    /// Starts a `task` that changes nothing: the end of the process does not wait for it.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    fn spawn_read(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.spawn(task)
    }
}

/// Chance, for jitter.
pub trait Random: Send + Sync {
    /// A number from 0 to below 1.
    fn unit(&self) -> f64;
}

/// What the protocol needs of the world; [`Environment::default`] is the real one.
#[derive(Clone)]
#[non_exhaustive]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tasks.
    pub spawner: Arc<dyn Spawner>,
    /// Jitter.
    pub random: Arc<dyn Random>,
}

impl Environment {
    /// An environment of these parts.
    pub fn new(clock: Arc<dyn Clock>, spawner: Arc<dyn Spawner>, random: Arc<dyn Random>) -> Self {
        Self { clock, spawner, random }
    }

    /// What both clocks say now.
    pub(crate) fn moment(&self) -> Moment {
        Moment::new(self.clock.now(), self.clock.boot_id(), self.clock.boot_time())
    }

    /// Full jitter: a random part of `longest`.
    pub(crate) fn jitter(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.unit())
    }

    /// What `future` comes to, if it does within `longest`.
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

    /// Waits a jittered poll interval, so that waiters do not march in step. Who has `waited` for
    /// long looks less often: many may be waiting, and little is lost in proportion.
    pub(crate) async fn poll_pause(&self, waited: Duration) {
        let longest = (waited / 16).clamp(SHORTEST_POLL, LONGEST_POLL);
        let pause = longest / 4 + self.jitter(longest * 3 / 4);
        self.clock.sleep(pause).await;
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

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    /// From when on it counts what elapsed.
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
}

struct SystemChance;

impl Random for SystemChance {
    fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        // Without entropy every wait is a full one: slower, never wrong.
        match SystemRandom::new().fill(&mut bytes) {
            Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
            Err(_) => 0.999,
        }
    }
}
