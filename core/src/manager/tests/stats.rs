//! Every number counts what it says, and nothing else.

use std::time::Duration;

use super::world::{Fault, World};
use super::{recover, start_recovery};
use crate::auth_dot_json::AuthDotJson;
use crate::token_endpoint::RefusalReason;
use crate::{AuthManager, Stats};

/// What happened, but for how long the lock was waited for.
fn counted(manager: &AuthManager) -> Stats {
    Stats { lock_wait: Duration::ZERO, ..manager.stats() }
}

#[tokio::test(start_paused = true)]
async fn one_redemption_of_many_callers_is_counted_once_and_each_recovery() {
    let world = World::new();
    let (redeemer, adopter) = (world.manager().await, world.manager().await);
    let auth = redeemer.auth().expect("signed in");
    let waiting: Vec<_> = (0..100).map(|_| start_recovery(&redeemer, &auth)).collect();
    for waiting in waiting {
        waiting.await.expect("no panic").expect("recovered");
    }
    let expected = Stats { redemptions: 1, recoveries: 100, waits: 99, ..Stats::default() };
    assert_eq!(redeemer.stats(), expected);
    assert_eq!(redeemer.clone().stats(), expected, "clones are one manager");
    for _ in 0..2 {
        recover(&adopter, &auth).await.expect("recovered");
    }
    let expected = Stats { adoptions: 1, recoveries: 2, ..Stats::default() };
    assert_eq!(adopter.stats(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_lock_is_counted_with_its_time() {
    let world = World::new();
    let (first, second) = (world.manager().await, world.manager().await);
    let auth = first.auth().expect("signed in");
    world.issuer.set_latency(Duration::from_secs(2));
    let waiting = [start_recovery(&first, &auth), start_recovery(&second, &auth)];
    for waiting in waiting {
        waiting.await.expect("no panic").expect("recovered");
    }
    assert_eq!(first.stats().lock_wait, Duration::ZERO);
    let expected = Stats { adoptions: 1, recoveries: 1, waits: 1, ..Stats::default() };
    assert_eq!(counted(&second), expected);
    let wait = second.stats().lock_wait;
    assert!((Duration::from_secs(2)..Duration::from_secs(3)).contains(&wait), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_counted_once_for_all_who_waited_and_is_no_recovery() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::Refused(RefusalReason::Invalidated)]);
    let waiting: Vec<_> = (0..10).map(|_| start_recovery(&manager, &auth)).collect();
    for waiting in waiting {
        waiting.await.expect("no panic").expect_err("refused");
    }
    assert_eq!(manager.stats(), Stats { failures: 1, waits: 9, ..Stats::default() });
    world.store.memory.replace(None);
    recover(&manager, &auth).await.expect("an outcome");
    assert_eq!(manager.stats().recoveries, 0, "giving up is none");
}

#[tokio::test(start_paused = true)]
async fn only_the_same_logins_other_tokens_are_an_adoption() {
    let world = World::new();
    let manager = world.manager().await;
    let mut touched = AuthDotJson::clone(manager.auth().expect("signed in").record());
    touched.auth_mode = None;
    for record in [Some(touched), Some(world.issuer.login("acct-b")), None] {
        world.store.memory.replace(record);
        assert!(manager.reload().await.expect("read"));
    }
    assert_eq!(manager.stats(), Stats::default());
}

#[tokio::test(start_paused = true)]
async fn a_due_refresh_that_nobody_waits_for_is_no_wait() {
    let world = World::new();
    let manager = world.manager().await;
    world.pass(Duration::from_secs(3600 - 599)).await;
    for _ in 0..10 {
        manager.fresh_auth().await.expect("ready");
    }
    assert!(manager.close(Duration::from_secs(1)).await);
    assert_eq!(manager.stats(), Stats { redemptions: 1, ..Stats::default() });
}
