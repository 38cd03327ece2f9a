//! Where the process may end without its exit hooks, a refresh that is due makes its caller wait.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::refresh_token;
use super::world::{Fault, World};
use crate::environment::{BoxFuture, Spawner};
use crate::options::RefreshMode;

/// When the access tokens of the issuer are due.
const DUE: Duration = Duration::from_secs(3600 - 599);

/// The tasks of a process whose end does not wait for them.
struct Unseen(Arc<dyn Spawner>);

/// A process that can start no thread.
struct Threadless;

impl Spawner for Threadless {
    fn spawn(&self, _task: BoxFuture<'static, ()>) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn waits_at_exit(&self) -> bool {
        false
    }
}

impl Spawner for Unseen {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.0.spawn(task)
    }

    fn waits_at_exit(&self) -> bool {
        false
    }
}

fn world() -> World {
    let mut world = World::new();
    world.environment.spawner = Arc::new(Unseen(Arc::clone(&world.environment.spawner)));
    world
}

#[tokio::test(start_paused = true)]
async fn g4_a_caller_waits_until_the_tokens_of_a_refresh_that_is_due_are_saved() {
    let world = world();
    let manager = world.manager().await;
    world.pass(DUE).await;
    assert!(manager.fresh_auth_if_ready().is_none(), "the caller must wait");
    assert_eq!(world.issuer.requests(), (0, 0), "nothing was begun that the end could cut off");
    let fresh = manager.fresh_auth().await.expect("refreshed").expect("signed in");
    assert_eq!(world.issuer.requests(), (1, 1));
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&fresh)));
    assert!(!manager.pending_save());
}

#[tokio::test(start_paused = true)]
async fn a_failure_costs_one_wait_and_the_token_that_is_still_valid_is_used() {
    let world = world();
    let manager = world.manager().await;
    world.pass(DUE).await;
    world.issuer.fail_with([Fault::Declined("try_later")]);
    let auth = manager.auth().expect("signed in");
    for _ in 0..2 {
        let found = manager.fresh_auth().await.expect("no error").expect("signed in");
        assert_eq!(found.access_token(), auth.access_token());
        assert_eq!(world.issuer.requests().0, 1, "until the pause is over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_redeems_nothing_makes_no_caller_wait() {
    let world = world();
    let manager = world.builder().refresh(RefreshMode::Never).build().await.expect("a manager");
    world.pass(DUE).await;
    assert!(manager.fresh_auth_if_ready().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_still_valid_is_used_where_no_refresh_can_be_started() {
    let mut world = World::new();
    world.environment.spawner = Arc::new(Threadless);
    let manager = world.manager().await;
    world.pass(DUE).await;
    let auth = manager.auth().expect("signed in");
    let found = manager.fresh_auth().await.expect("no error").expect("signed in");
    assert_eq!(found.access_token(), auth.access_token());
    world.pass(Duration::from_secs(600)).await;
    manager.fresh_auth().await.expect_err("it has expired");
}
