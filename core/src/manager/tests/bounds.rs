//! Every call, wait and loop is bounded.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::world::{Fault, World};
use super::{RETRY, recover, refresh_token, start_recovery};
use crate::ledger::Ledger;
use crate::storage::AuthStorage;
use crate::token_endpoint::RefusalReason;

#[tokio::test(start_paused = true)]
async fn g11_requests_are_bounded_whatever_the_endpoint_does() {
    use Fault::{Lost, Refused, Unsent};
    for (faults, requests, code) in [
        (vec![Unsent; 9], 3, "refresh_transient"),
        (vec![Lost, Unsent, Lost], 3, "refresh_transient"),
        (vec![Lost, Refused(RefusalReason::Reused)], 2, "refresh_token_rejected"),
        (vec![Refused(RefusalReason::Expired)], 1, "refresh_token_expired"),
    ] {
        let world = World::new();
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        world.issuer.fail_with(faults.clone());
        let error = recover(&manager, &auth).await.expect_err("no answer");
        assert_eq!((world.issuer.requests().0, error.code()), (requests, code), "{faults:?}");
        assert_eq!(error.is_transient(), error.retry_after().is_some());
        assert_eq!(refresh_token(&manager.auth().expect("signed in")), refresh_token(&auth));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_background_refresh_is_no_error_and_not_repeated_at_once() {
    let world = World::new();
    let manager = world.manager().await;
    world.pass(Duration::from_secs(3600 - 599)).await;
    world.issuer.fail_with([Fault::Unsent; 3]);
    for _ in 0..5 {
        assert!(manager.fresh_auth().await.expect("still valid").is_some());
        assert!(manager.close(Duration::from_secs(10)).await);
    }
    assert_eq!(world.issuer.requests(), (3, 0));
    world.pass(Duration::from_secs(31)).await;
    assert!(manager.fresh_auth().await.expect("still valid").is_some());
    assert!(manager.close(Duration::from_secs(10)).await);
    assert_eq!(world.issuer.requests(), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn g11_retry_after_is_honoured_by_all_programs() {
    let world = World::new();
    let managers = [world.manager().await, world.manager().await];
    let auth = managers[0].auth().expect("signed in");
    world.issuer.fail_with([Fault::PutOff(300)]);
    let error = recover(&managers[0], &auth).await.expect_err("put off");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(300)));
    world.pass(Duration::from_secs(200)).await;
    for manager in &managers {
        let error = recover(manager, &auth).await.expect_err("put off");
        assert!(error.retry_after().is_some_and(|after| after < Duration::from_secs(101)));
    }
    assert_eq!(world.issuer.requests(), (1, 0));
    world.pass(Duration::from_secs(101)).await;
    assert_eq!(recover(&managers[0], &auth).await.expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn g4_no_request_is_started_without_the_time_to_hear_its_answer() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::PutOff(45)]);
    for _ in 0..200 {
        if recover(&manager, &auth).await.is_ok() {
            break;
        }
        world.pass(Duration::from_millis(300)).await;
    }
    let timeouts = world.issuer.timeouts();
    assert_eq!(timeouts.len(), 2);
    let longest = Duration::from_secs(45);
    assert!(timeouts.iter().all(|timeout| *timeout >= longest / 4), "{timeouts:?}");
    assert!(timeouts[1] < Duration::from_secs(30), "what is left bounds it: {timeouts:?}");
}

#[tokio::test(start_paused = true)]
async fn g4_no_second_token_is_redeemed_when_the_first_took_all_the_time() {
    let world = World::new();
    let builder = world.builder().refresh_deadline(Duration::from_secs(8));
    let manager = builder.build().await.expect("a manager");
    let auth = manager.auth().expect("signed in");
    world.issuer.set_latency(Duration::from_secs(7));
    let mut rotated = world.issuer.rotate(auth.record());
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_secs(1)).await;
    // The winner's refresh token is good, its access token is of no use.
    let rejected = auth.managed_tokens().expect("a login").access_token.clone();
    rotated.tokens.as_mut().expect("tokens").access_token = rejected;
    world.store.memory.replace(Some(rotated));
    let error = waiting.await.expect("no panic").expect_err("no time is left");
    assert_eq!((error.code(), world.issuer.requests().0), ("refresh_transient", 1));
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn g11_numbers_beyond_all_measure_are_no_panic() {
    let world = World::new();
    let manager = world.manager().await;
    world.pass(Duration::from_secs(3601)).await;
    world.issuer.fail_with([Fault::PutOff(u64::MAX)]);
    let error = manager.fresh_auth().await.expect_err("put off");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(300)));
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let cancelled = tokio::time::timeout(Duration::from_millis(50), manager.refresh_token(&auth));
    assert!(cancelled.await.is_err());
    assert!(manager.close(Duration::MAX).await);
}

#[tokio::test(start_paused = true)]
async fn g11_a_forged_ledger_keeps_no_program_out_for_long() {
    let notes: [fn(&str, i64) -> String; 4] = [
        |token, now| note(token, now, now + 60_000, r#"{"refused": "expired"}"#),
        |token, now| note(token, now + 59_999, now + 119_999, r#"{"refused": "expired"}"#),
        |token, now| note(token, now, 8_000_000_000_000_000, r#"{"refused": "expired"}"#),
        |token, now| note(token, now, 8_000_000_000_000_000, r#""rest""#),
    ];
    let bucket = |_: &str, now| format!(r#"{{"bucket": {{"level": -1e300, "at": {now}}}}}"#);
    let forgeries = notes.map(|note| (note, 120));
    for (forgery, longest) in
        forgeries.into_iter().chain([(bucket as fn(&str, i64) -> String, 450)])
    {
        let world = World::new();
        let manager = world.manager().await;
        recover(&manager, &manager.auth().expect("signed in")).await.expect("recovered");
        let auth = manager.auth().expect("signed in");
        let token = auth.refresh_fingerprint().expect("a login").to_string();
        let forged = forgery(&token, world.environment.clock.now().timestamp_millis());
        let forged = Ledger::from_bytes(forged.as_bytes()).expect("a ledger");
        let lock = world.store.memory.try_lock().await.expect("a lock").expect("free");
        lock.set_ledger(&forged).await.expect("written");
        drop(lock);
        let start = Instant::now();
        while !recover(&manager, &auth).await.is_ok_and(|decision| decision == RETRY) {
            assert!(start.elapsed() < Duration::from_secs(longest), "{forged:?}");
            world.pass(Duration::from_secs(1)).await;
        }
    }
}

fn note(token: &str, at: i64, until: i64, answer: &str) -> String {
    let note = format!(r#""token": "{token}", "at": {at}, "until": {until}, "answer": {answer}"#);
    format!(r#"{{"notes": [{{{note}}}]}}"#)
}

#[tokio::test(start_paused = true)]
async fn g11_close_keeps_its_time() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(usize::MAX, Ordering::SeqCst);
    world.store.commit_takes.set(Duration::from_secs(8), Duration::ZERO);
    recover(&manager, &auth).await.expect("recovered");
    let start = Instant::now();
    assert!(!manager.close(Duration::from_millis(100)).await);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn g11_a_window_wider_than_the_tokens_life_does_not_rotate_in_a_loop() {
    let world = World::new();
    let builder = world.builder().refresh_window(Duration::from_secs(7200));
    let manager = builder.build().await.expect("a manager");
    for _ in 0..20 {
        manager.fresh_auth().await.expect("fresh");
        world.pass(Duration::from_secs(6)).await;
    }
    assert!(world.issuer.requests().1 <= 1, "{:?}", world.issuer.requests());
}

#[tokio::test(start_paused = true)]
async fn an_unclassified_refusal_is_believed_for_five_minutes_only() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::Refused(RefusalReason::Unauthorized)]);
    let error = recover(&manager, &auth).await.expect_err("refused");
    assert_eq!((error.code(), error.reason()), ("refresh_token_rejected", Some("unauthorized")));
    world.pass(Duration::from_secs(240)).await;
    recover(&manager, &auth).await.expect_err("still believed");
    assert_eq!(world.issuer.requests(), (1, 0));
    world.pass(Duration::from_secs(61)).await;
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_holds_the_lock_of_a_save_for_long_fails_no_refresh() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.busy_proofs.store(3, Ordering::SeqCst);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (1, 1));

    // One that refreshes itself meanwhile, and then another that is stuck.
    world.store.busy_proofs.store(usize::MAX, Ordering::SeqCst);
    let auth = manager.auth().expect("signed in");
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished(), "it waits");
    let stored = world.store.memory.record().expect("a login");
    world.store.memory.replace(Some(world.issuer.rotate(&stored)));
    assert_eq!(waiting.await.expect("no panic").expect("adopted"), RETRY);
    let requests = world.issuer.requests();
    let (start, auth) = (Instant::now(), manager.auth().expect("signed in"));
    let error = recover(&manager, &auth).await.expect_err("held for ever");
    assert_eq!(error.code(), "lock_timeout");
    assert!(start.elapsed() <= Duration::from_secs(45), "{:?}", start.elapsed());
    assert_eq!(world.issuer.requests(), requests, "nothing is spent");
}
