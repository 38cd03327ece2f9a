//! Rejected access tokens: how many rotations they cause, and that none of them is used again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::events::kinds;
use super::spans::Collector;
use super::world::{Claims, Fault, World};
use super::{RETRY, recover};
use crate::auth_dot_json::AuthDotJson;
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;
use crate::{AuthManager, GiveUpReason, RefreshMode, UnauthorizedRecoveryDecision};

const GAVE_UP: UnauthorizedRecoveryDecision =
    UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::FreshTokenRejected);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn auth(manager: &AuthManager) -> CodexAuth {
    manager.auth().expect("signed in")
}

/// Has the API reject what `manager` has; what that comes to.
async fn reject(manager: &AuthManager) -> UnauthorizedRecoveryDecision {
    recover(manager, &auth(manager)).await.expect("an outcome")
}

/// Has the API reject everything until `manager` gives up; how many rotations that causes.
async fn reject_all(world: &World, manager: &AuthManager) -> usize {
    let (_, before) = world.issuer.requests();
    let rotations = || world.issuer.requests().1 - before;
    while reject(manager).await == RETRY {
        assert!(rotations() < 100, "they never end");
    }
    rotations()
}

/// Has another program redeem the stored token.
fn rotate_elsewhere(world: &World) {
    let record = world.store.memory.record().expect("a record");
    world.store.memory.replace(Some(world.issuer.rotate(&record)));
}

#[tokio::test(start_paused = true)]
async fn g11_a_burst_of_rejections_is_followed_by_one_rotation_in_an_eighth_of_a_tokens_life() {
    for (claims, life, refill) in [
        (Claims::Seconds, 5 * MINUTE, MINUTE),
        (Claims::Seconds, HOUR, HOUR / 8),
        (Claims::Seconds, DAY, HOUR),
        (Claims::Seconds, 10 * DAY, HOUR),
        (Claims::Unreadable, 10 * DAY, HOUR / 8),
    ] {
        let what = format!("{claims:?}, {life} s");
        let world = World::new();
        world.issuer.set_life(life);
        world.issuer.set_claims(claims);
        world.sign_in("acct-a");
        let manager = world.manager().await;
        assert_eq!(reject_all(&world, &manager).await, 4, "{what}");
        for _ in 0..3 {
            let tenth = Duration::from_secs(refill.unsigned_abs()) / 10;
            world.pass(tenth * 9).await;
            assert_eq!(reject_all(&world, &manager).await, 0, "{what}");
            world.pass(tenth).await;
            assert_eq!(reject_all(&world, &manager).await, 1, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g11_the_rejection_of_a_young_token_may_cause_one_rotation_a_minute() {
    let world = World::new();
    let manager = world.manager().await;
    reject_all(&world, &manager).await;
    world.pass(SECOND * 61).await;
    assert_eq!(reject(&manager).await, GAVE_UP, "it is no longer young");
    rotate_elsewhere(&world);
    assert_eq!(reject(&manager).await, RETRY, "the other program's is adopted");
    assert_eq!(reject_all(&world, &manager).await, 1, "that one is young");
}

#[tokio::test(start_paused = true)]
async fn g11_all_programs_on_a_store_share_the_rotations_that_are_left() {
    let world = World::new();
    let (first, second) = (world.manager().await, world.manager().await);
    assert_eq!(reject_all(&world, &first).await, 4);
    second.reload().await.expect("read");
    assert_eq!(reject_all(&world, &second).await, 0);
}

#[tokio::test(start_paused = true)]
async fn g11_a_program_that_can_leave_no_note_counts_for_itself() {
    let world = World::new();
    let manager = world.manager().await;
    world.store.failing_notes.store(true, Ordering::SeqCst);
    assert_eq!(reject_all(&world, &manager).await, 4);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_rejected_at_their_end_are_replaced_each_time() {
    let world = World::new();
    world.issuer.set_life(10);
    world.sign_in("acct-a");
    let manager = world.manager().await;
    for turn in 0..20 {
        world.pass(SECOND * 11).await;
        assert_eq!(reject(&manager).await, RETRY, "{turn}");
    }
}

#[tokio::test(start_paused = true)]
async fn g11_a_server_that_leaves_an_ended_token_in_place_makes_no_loop() {
    let world = World::new();
    let manager = world.manager().await;
    world.pass(Duration::from_secs(2 * HOUR.unsigned_abs())).await;
    world.issuer.fail_with([Fault::WithoutAccessToken; 20]);
    for _ in 0..20 {
        reject(&manager).await;
    }
    let (_, redeemed) = world.issuer.requests();
    assert!(redeemed <= 5, "{redeemed} redemptions");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_one_too_many_says_so_and_when_the_next_may_be() {
    let world = World::new();
    let manager = world.manager().await;
    let (collector, _guard) = Collector::start();
    let mut events = manager.subscribe();
    for turn in 0..4 {
        let new = manager.refresh_token(&auth(&manager)).await.expect("refreshed");
        assert!(new.is_some(), "{turn}");
    }
    // The first is still young when the next rotation may be; the second is not.
    for (rest, pause) in [(50..60, 2), (440..451, 0)] {
        world.pass(SECOND * pause).await;
        let last = auth(&manager);
        let error = manager.refresh_token(&last).await.expect_err("too many");
        assert_eq!((error.code(), error.is_transient()), ("refresh_transient", true));
        assert_eq!(error.reason(), Some("fresh_token_rejected"));
        assert!(error.to_string().contains(&world.store.location()), "{error}");
        let wait = error.retry_after().expect("a time");
        assert!(rest.contains(&wait.as_secs()), "{wait:?}");
        world.pass(wait - SECOND).await;
        manager.refresh_token(&last).await.expect_err("too early");
        world.pass(SECOND).await;
        assert!(manager.refresh_token(&last).await.expect("refreshed").is_some(), "{wait:?}");
    }
    assert_eq!(collector.count("has rejected several"), 2, "once for each token");
    let told = ["refreshed", "refreshed", "refreshed", "refreshed", "refresh_failed"];
    assert_eq!(kinds(&mut events).await[..5], told);
    let last = auth(&manager);
    world.store.memory.replace(None);
    assert!(manager.refresh_token(&last).await.expect("an outcome").is_none(), "a logout");
}

#[tokio::test(start_paused = true)]
async fn none_of_the_last_16_rejected_tokens_is_adopted() {
    let world = World::new();
    let builder = world.builder().refresh(RefreshMode::Never);
    let manager = builder.build().await.expect("a manager");
    let mut rejected = Vec::new();
    for _ in 0..15 {
        rejected.push(auth(&manager));
        rotate_elsewhere(&world);
        assert_eq!(reject(&manager).await, RETRY);
    }
    for old in &rejected {
        put_back_access_token(&world, old);
        let decision = recover(&manager, &auth(&manager)).await.expect("an outcome");
        let disabled = UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::RefreshDisabled);
        assert_eq!(decision, disabled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_to_be_replaced_is_not_adopted_later() {
    let world = World::new();
    let manager = world.manager().await;
    let first = auth(&manager);
    manager.refresh_token(&first).await.expect("refreshed");
    let second = auth(&manager);
    put_back_access_token(&world, &first);
    let third = manager.refresh_token(&second).await.expect("refreshed").expect("signed in");
    assert_ne!(third.access_token(), first.access_token());
    assert_eq!(world.issuer.requests(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_request_that_is_given_up_is_not_adopted_later() {
    let world = World::new();
    let manager = world.manager().await;
    let (first, recovery) = (auth(&manager), manager.unauthorized_recovery());
    let decide = |auth| manager.recover_from_unauthorized(auth, &recovery);
    assert_eq!(decide(&first).await.expect("an outcome"), RETRY);
    let second = auth(&manager);
    let exhausted = UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::Exhausted);
    assert_eq!(decide(&second).await.expect("an outcome"), exhausted);
    assert_eq!(recover(&manager, &first).await.expect("an outcome"), RETRY);
    assert_ne!(auth(&manager).access_token(), second.access_token());
}

/// Has the store hold the access token of `old` beside its refresh token.
fn put_back_access_token(world: &World, old: &CodexAuth) {
    let mut record = AuthDotJson::clone(&world.store.memory.record().expect("a record"));
    let tokens = record.tokens.as_mut().expect("tokens");
    tokens.access_token = old.managed_tokens().expect("a login").access_token.clone();
    world.store.memory.replace(Some(record));
}
