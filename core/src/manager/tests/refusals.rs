//! A token endpoint that refuses, or does not answer: who asks, how often, and what the others hear.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::{Fault, World};
use super::{RETRY, recover, refresh_token, start_recovery};
use crate::environment::Random;
use crate::ledger::{Ledger, SHARED_REFUSAL};
use crate::storage::AuthStorage;
use crate::token_endpoint::RefusalReason;

/// Chance that always falls the same way.
struct Fixed(f64);

impl Random for Fixed {
    fn unit(&self) -> f64 {
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn g11_of_32_programs_with_a_dead_login_one_asks_and_one_waits() {
    let world = World::new();
    world.issuer.rotate(&world.store.memory.record().expect("a record"));
    let mut waiting = Vec::new();
    for _ in 0..32 {
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        waiting.push(start_recovery(&manager, &auth));
    }
    for waiting in waiting {
        let error = waiting.await.expect("no panic").expect_err("refused");
        assert_eq!((error.code(), error.reason()), ("refresh_token_reused", Some("reused")));
        assert!(error.to_string().contains(&world.store.location()), "{error}");
    }
    assert_eq!(world.issuer.requests(), (1, 1));
    let taken = world.store.locks_taken.load(Ordering::SeqCst);
    assert_eq!(taken, 1, "the others read the verdict without the lock");
}

#[tokio::test(start_paused = true)]
async fn g11_of_32_programs_in_an_outage_one_asks_for_all() {
    let world = World::new();
    world.issuer.fail_with([Fault::Unsent; 200]);
    let mut managers = Vec::new();
    for _ in 0..32 {
        managers.push(world.manager().await);
    }
    let auth = managers[0].auth().expect("signed in");
    let waiting: Vec<_> = managers.iter().map(|manager| start_recovery(manager, &auth)).collect();
    for waiting in waiting {
        let error = waiting.await.expect("no panic").expect_err("no answer");
        assert_eq!(error.code(), "refresh_transient");
        assert!(
            error.retry_after().is_some_and(|rest| rest <= Duration::from_secs(5)),
            "{error:?}"
        );
    }
    let taken = || world.store.locks_taken.load(Ordering::SeqCst);
    assert_eq!((world.issuer.requests(), taken()), ((3, 0), 1));
    // Who comes later waits for the end of the rest, and asks.
    recover(&managers[7], &auth).await.expect_err("no answer");
    assert_eq!((world.issuer.requests(), taken()), ((6, 0), 2));
}

#[tokio::test(start_paused = true)]
async fn g11_a_refusal_that_is_known_needs_no_lock() {
    let world = World::new();
    let managers = [world.manager().await, world.manager().await];
    let auth = managers[0].auth().expect("signed in");
    world.issuer.fail_with([Fault::Refused(RefusalReason::Expired)]);
    recover(&managers[0], &auth).await.expect_err("refused");
    let held = world.store.memory.try_lock().await.expect("a lock").expect("free");
    for manager in &managers {
        let error = recover(manager, &auth).await.expect_err("refused");
        assert_eq!(error.code(), "refresh_token_expired");
    }
    drop(held);
    assert_eq!(world.issuer.requests(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn g2_a_known_refusal_does_not_hide_a_new_login() {
    let world = World::new();
    let managers = [world.manager().await, world.manager().await];
    let auth = managers[0].auth().expect("signed in");
    world.issuer.fail_with([Fault::Refused(RefusalReason::Expired)]);
    recover(&managers[0], &auth).await.expect_err("refused");
    world.sign_in("acct-a");
    for manager in &managers {
        assert_eq!(recover(manager, &auth).await.expect("recovered"), RETRY);
    }
    assert_eq!(world.issuer.requests(), (1, 0), "the new login is adopted");
}

#[tokio::test(start_paused = true)]
async fn g2_a_refusal_of_a_token_that_the_store_has_no_more_is_not_heeded() {
    let world = World::new();
    // Such a store is read again after a while only.
    world.store.is_unstamped.store(true, Ordering::SeqCst);
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let held = world.store.memory.try_lock().await.expect("a lock").expect("free");
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_secs(1)).await;
    world.sign_in("acct-a");
    let mut ledger = Ledger::default();
    let token = auth.refresh_fingerprint().expect("a login");
    let now = world.environment.clock.now();
    ledger.refuse(token, RefusalReason::Expired, now, Some(SHARED_REFUSAL));
    held.set_ledger(&ledger).await.expect("written");
    assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_attempt_without_an_answer_has_an_unknown_outcome() {
    let world = World::new();
    let managers = [world.manager().await, world.manager().await];
    let auth = managers[0].auth().expect("signed in");
    world.issuer.fail_with([Fault::Lost, Fault::Unanswered]);
    let error = recover(&managers[0], &auth).await.expect_err("no answer");
    assert!(error.is_transient());
    world.issuer.fail_with([Fault::PutOff(120)]);
    let error = recover(&managers[0], &auth).await.expect_err("put off");
    assert!(error.is_transient());
    world.pass(Duration::from_secs(120)).await;
    for manager in &managers {
        let error = recover(manager, &auth).await.expect_err("refused");
        let seen = (error.code(), error.reason(), error.is_transient());
        assert_eq!(seen, ("refresh_token_rejected", Some("outcome_unknown"), false));
    }
    assert_eq!(world.issuer.requests(), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn g11_requests_back_off_by_a_random_part_of_what_doubles() {
    for chance in [0.0, 0.25, 0.999] {
        let mut world = World::new();
        world.environment.random = Arc::new(Fixed(chance));
        world.issuer.set_latency(Duration::ZERO);
        world.issuer.fail_with([Fault::Unsent; 3]);
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        let error = recover(&manager, &auth).await.expect_err("no answer");
        let arrivals = world.issuer.arrivals();
        let pauses: Vec<_> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let close_to = |pause: Duration, seconds: f64| (pause.as_secs_f64() - seconds).abs() < 0.01;
        assert!(close_to(pauses[0], 0.5 * chance) && close_to(pauses[1], chance), "{pauses:?}");
        let rest = error.retry_after().expect("a rest");
        assert!(close_to(rest, 1.0 + 4.0 * chance), "{rest:?}");
        assert_eq!(world.stored().as_deref(), Some(refresh_token(&auth)));
    }
}

#[tokio::test(start_paused = true)]
async fn g1_a_token_that_left_the_store_while_it_was_made_ready_is_not_presented() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.ready_takes.set(Duration::ZERO, Duration::from_secs(1));
    let task = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(500)).await;
    world.sign_in("acct-a");
    assert_eq!(task.await.expect("no panic").expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (0, 0));
}
