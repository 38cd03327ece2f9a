//! The guardian: a login that stays fresh although nobody asks for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::events::kinds;
use super::refresh_token;
use super::world::{Fault, LIFE, World};
use crate::auth_dot_json::AuthDotJson;
use crate::token_endpoint::RefusalReason;
use crate::{AuthManager, RefreshMode};

const HOUR: Duration = Duration::from_secs(3600);

/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(30);

/// More than a look and a refresh.
const SOON: Duration = Duration::from_secs(31);

/// When the tokens of a new world are due.
const DUE: Duration = Duration::from_secs(3600 - 600);

fn account(manager: &AuthManager) -> Option<String> {
    manager.auth()?.account_id().map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn a_guardian_refreshes_in_the_windows_first_tenth_without_any_caller() {
    let world = World::new();
    let manager = world.manager().await;
    let _guardian = manager.keep_fresh();
    world.pass(10 * HOUR).await;
    let mut issued = Duration::ZERO;
    for arrival in world.issuer.arrivals() {
        let due = issued + DUE;
        assert!(due < arrival && arrival < due + Duration::from_secs(60), "{issued:?} {arrival:?}");
        issued = arrival;
    }
    let (presented, granted) = world.issuer.requests();
    assert!(granted >= 10 && presented == granted, "{presented} {granted}");
    assert!(!world.has_expired(&manager.auth().expect("signed in")));
    assert_eq!(world.stored().as_deref(), manager.auth().as_ref().map(refresh_token));
}

#[tokio::test(start_paused = true)]
async fn a_guardian_is_always_ahead_of_the_clis_own_window() {
    let world = World::new();
    world.issuer.set_life(312);
    world.sign_in("acct-a");
    let window = Duration::from_secs(306);
    let manager = world.builder().refresh_window(window).build().await.expect("a manager");
    let _guardian = manager.keep_fresh();
    world.pass(Duration::from_secs(120)).await;
    let mut issued = Duration::ZERO;
    for arrival in world.issuer.arrivals() {
        let age = arrival - issued;
        assert!((Duration::from_secs(5)..Duration::from_secs(11)).contains(&age), "{age:?}");
        issued = arrival;
    }
    assert!(world.issuer.requests().1 >= 10, "{:?}", world.issuer.requests());
}

#[tokio::test(start_paused = true)]
async fn a_guardian_does_not_refresh_what_has_just_been_refreshed() {
    let world = World::new();
    world.issuer.set_life(8);
    world.sign_in("acct-a");
    let manager = world.manager().await;
    let _guardian = manager.keep_fresh();
    world.pass(Duration::from_secs(60)).await;
    let arrivals = world.issuer.arrivals();
    assert!(arrivals.len() > 5, "{arrivals:?}");
    let is_slow = |pair: &[Duration]| pair[1] - pair[0] >= Duration::from_secs(5);
    assert!(arrivals.windows(2).all(is_slow), "{arrivals:?}");
}

#[tokio::test(start_paused = true)]
async fn g1_two_guardians_redeem_once_per_rotation() {
    let world = World::new();
    let managers = [world.manager().await, world.manager().await];
    let _guardians = managers.each_ref().map(AuthManager::keep_fresh);
    for rotations in 1..=5 {
        world.pass(DUE + Duration::from_secs(120)).await;
        assert_eq!(world.issuer.requests(), (rotations, rotations));
        let stored = world.stored();
        for manager in &managers {
            assert_eq!(manager.auth().as_ref().map(refresh_token), stored.as_deref());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_guardian_notices_within_half_a_minute_that_the_machine_slept() {
    let world = World::new();
    let manager = world.manager().await;
    let _guardian = manager.keep_fresh();
    world.pass(Duration::from_secs(10)).await;
    world.machine.suspend(2 * LIFE);
    world.pass(SOON).await;
    assert_eq!(world.issuer.requests(), (1, 1));
    assert!(!world.has_expired(&manager.auth().expect("signed in")));
}

#[tokio::test(start_paused = true)]
async fn a_guardian_follows_logouts_and_logins() {
    let world = World::new();
    let manager = world.manager().await;
    let _guardian = manager.keep_fresh();
    world.pass(Duration::from_secs(10)).await;
    world.store.memory.replace(None);
    world.pass(SOON).await;
    assert_eq!(account(&manager), None);
    world.pass(HOUR).await;
    world.sign_in("acct-b");
    world.pass(SOON).await;
    assert_eq!(account(&manager).as_deref(), Some("acct-b"));
    assert_eq!(world.issuer.requests(), (0, 0));
    world.pass(HOUR).await;
    assert_eq!(world.issuer.requests(), (1, 1), "the new login is kept fresh");
}

#[tokio::test(start_paused = true)]
async fn a_guardian_adopts_what_somebody_else_refreshed() {
    let world = World::new();
    let manager = world.manager().await;
    let _guardian = manager.keep_fresh();
    world.pass(DUE - LOOK).await;
    let rotated = world.issuer.rotate(&world.store.memory.record().expect("a record"));
    world.store.memory.replace(Some(rotated));
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.issuer.requests(), (0, 1));
    assert_eq!(manager.auth().as_ref().map(refresh_token), world.stored().as_deref());
}

#[tokio::test(start_paused = true)]
async fn a_guardian_goes_on_after_a_failure_and_asks_no_faster_than_it_may() {
    let world = World::new();
    let manager = world.manager().await;
    let _guardian = manager.keep_fresh();
    world.issuer.fail_with([Fault::Unsent; 9]);
    world.pass(DUE + Duration::from_secs(240)).await;
    assert_eq!(world.issuer.requests(), (10, 1), "three turns of three requests, and one more");
    assert!(world.issuer.arrivals()[9] - world.issuer.arrivals()[0] > Duration::from_secs(15));
    world.issuer.fail_with([Fault::PutOff(100)]);
    world.pass(DUE + Duration::from_secs(240)).await;
    assert_eq!(world.issuer.requests(), (12, 2));
    assert!(world.issuer.arrivals()[11] - world.issuer.arrivals()[10] >= Duration::from_secs(100));
    assert_eq!(manager.stats().failures, 4, "nothing is tried before that");
}

#[tokio::test(start_paused = true)]
async fn a_guardian_goes_on_once_the_store_can_be_read_again() {
    let world = World::new();
    let manager = world.manager().await;
    let _guardian = manager.keep_fresh();
    world.store.is_unreadable.store(true, Ordering::SeqCst);
    world.pass(HOUR).await;
    assert_eq!(world.issuer.requests(), (0, 0));
    world.store.is_unreadable.store(false, Ordering::SeqCst);
    world.pass(SOON).await;
    assert_eq!(world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn g11_a_permanent_failure_costs_a_guardian_one_call_until_there_is_another_credential() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let _guardian = manager.keep_fresh();
    world.issuer.fail_with([Fault::Refused(RefusalReason::Invalidated)]);
    world.pass(5 * HOUR).await;
    assert_eq!(world.issuer.requests(), (1, 0));
    assert_eq!(kinds(&mut events).await, ["refresh_failed"]);
    world.sign_in("acct-a");
    world.pass(HOUR).await;
    assert_eq!(world.issuer.requests(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_guardian_writes_the_successor_of_a_spent_token_again() {
    let world = World::new();
    let manager = world.manager().await;
    let _guardian = manager.keep_fresh();
    let old = world.store.memory.record().expect("a record");
    world.pass(HOUR).await;
    let fresh = world.stored();
    world.store.memory.replace(Some(AuthDotJson::clone(&old)));
    world.pass(SOON).await;
    assert_eq!(world.stored(), fresh);
    assert_eq!(world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_guardian_that_may_not_refresh_only_adopts() {
    let world = World::new();
    let manager = world.builder().refresh(RefreshMode::Never).build().await.expect("a manager");
    let mut events = manager.subscribe();
    let _guardian = manager.keep_fresh();
    world.pass(DUE + SOON).await;
    assert!(manager.close(Duration::ZERO).await, "nothing is tried");
    world.pass(2 * HOUR).await;
    assert_eq!(world.issuer.requests(), (0, 0));
    let rotated = world.issuer.rotate(&world.store.memory.record().expect("a record"));
    world.store.memory.replace(Some(rotated));
    world.pass(SOON).await;
    assert_eq!(kinds(&mut events).await, ["adopted"]);
}

#[tokio::test(start_paused = true)]
async fn a_guardian_ends_when_it_is_stopped_and_when_it_is_dropped() {
    let ends: [fn(crate::KeepFresh); 2] = [
        |guardian| {
            guardian.stop();
            std::mem::forget(guardian);
        },
        drop,
    ];
    for end in ends {
        let world = World::new();
        let manager = world.manager().await;
        let mut events = manager.subscribe();
        let guardian = manager.keep_fresh();
        drop(manager);
        world.pass(HOUR + LOOK / 2).await;
        assert_eq!(kinds(&mut events).await, ["refreshed"], "the handle keeps the manager");
        end(guardian);
        let end = timeout(Duration::from_secs(1), events.next()).await;
        assert!(end.expect("nothing keeps the manager any more").is_none());
        world.pass(2 * HOUR).await;
        assert_eq!(world.issuer.requests(), (1, 1));
    }
}
