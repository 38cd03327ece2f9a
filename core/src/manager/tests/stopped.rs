//! A thread that stands still between two looks at the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::world::World;
use crate::environment::{BoxFuture, Clock};

/// The clock of a thread that stands still for ten seconds after each look at it.
struct Stopping {
    clock: Arc<dyn Clock>,
    stopped: AtomicI64,
}

impl Clock for Stopping {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::seconds(self.stopped.fetch_add(10, Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_stands_still_while_it_judges_a_token_keeps_it_no_longer() {
    let mut world = World::new();
    let clock = Arc::clone(&world.environment.clock);
    world.environment.clock = Arc::new(Stopping { clock, stopped: AtomicI64::default() });
    let builder = world.builder().refresh_window(Duration::from_secs(600));
    let manager = builder.build().await.expect("a manager");
    let expires_at = manager.auth().expect("signed in").expires_at().expect("a date");
    let due_at = expires_at - TimeDelta::seconds(600);
    // The last half minute before it is due is where the span would end too late.
    world.pass(Duration::from_secs(3600 - 600 - 400)).await;
    for _ in 0..40 {
        let span = manager.fresh_span().expect("a ChatGPT login");
        assert!(span.end <= due_at, "{} is after {due_at}", span.end);
    }
}
