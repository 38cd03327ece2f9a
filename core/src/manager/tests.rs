//! The guarantees under a paused clock.

mod accounts;
mod authorization;
mod bounds;
mod clocks;
mod declines;
mod description;
mod doubts;
mod events;
mod following;
mod guardian;
mod options;
mod refusals;
mod rejections;
mod spans;
mod stats;
mod unsaved;
mod workspaces;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;

use self::world::{Fault, World};
use crate::snapshot::CodexAuth;
use crate::{AuthManager, GiveUpReason, LogoutOptions, UnauthorizedRecoveryDecision};

const RETRY: UnauthorizedRecoveryDecision = UnauthorizedRecoveryDecision::Retry;

async fn recover(
    manager: &AuthManager,
    auth: &CodexAuth,
) -> crate::Result<UnauthorizedRecoveryDecision> {
    manager.recover_from_unauthorized(auth, &manager.unauthorized_recovery()).await
}

fn start_recovery(
    manager: &AuthManager,
    auth: &CodexAuth,
) -> JoinHandle<crate::Result<UnauthorizedRecoveryDecision>> {
    let (manager, auth) = (manager.clone(), auth.clone());
    tokio::spawn(async move { recover(&manager, &auth).await })
}

fn refresh_token(auth: &CodexAuth) -> &str {
    auth.managed_tokens().expect("a login").refresh_token.expose()
}

#[tokio::test(start_paused = true)]
async fn g1_a_thousand_rejections_of_one_token_are_one_redemption() {
    let world = World::new();
    let managers = [world.manager().await, world.manager().await, world.manager().await];
    let auth = managers[0].auth().expect("signed in");
    let tasks: Vec<_> = (0..1000)
        .map(|task| {
            let (manager, auth) = (managers[task % 3].clone(), auth.clone());
            tokio::spawn(async move { recover(&manager, &auth).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect("recovered"), RETRY);
    }
    assert_eq!(world.issuer.requests(), (1, 1));
    let locks = world.store.locks_tried.load(Ordering::SeqCst);
    assert!(locks < 100, "a manager waits for the lock once, not for every caller: {locks}");
    assert_eq!(
        recover(&managers[1], &auth).await.expect("recovered"),
        RETRY,
        "a late report adopts"
    );
    assert_eq!(world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn g1_nothing_is_redeemed_once_the_lock_is_lost() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.lock_is_lost.store(true, Ordering::SeqCst);
    let error = recover(&manager, &auth).await.expect_err("no lock");
    assert_eq!((error.code(), world.issuer.requests()), ("store_unavailable", (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn g2_a_refusal_waits_for_the_winner_to_save() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let record = world.store.memory.record().expect("a record");
    let rotated = world.issuer.rotate(&record);
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_secs(4)).await;
    assert!(!waiting.is_finished());
    world.store.memory.replace(Some(rotated.clone()));
    assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (1, 1), "the winner's token is adopted, not redeemed");
    let adopted = manager.auth().expect("signed in");
    assert_eq!(**adopted.record(), rotated);
}

#[tokio::test(start_paused = true)]
async fn g2_a_refusal_after_a_lost_answer_waits_for_the_winner_too() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::Unanswered]);
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    let rotated = world.issuer.rotate(&world.store.memory.record().expect("a record"));
    world.pass(Duration::from_millis(1500)).await;
    assert_eq!(world.issuer.requests(), (2, 1), "the second request is refused");
    world.store.memory.replace(Some(rotated));
    assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn g1_a_token_is_not_presented_again_once_the_store_has_another() {
    for fault in [Fault::PutOff(2), Fault::Unanswered] {
        let world = World::new();
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        world.issuer.fail_with([fault]);
        let waiting = start_recovery(&manager, &auth);
        world.pass(Duration::from_millis(110)).await;
        let rotated = world.issuer.rotate(auth.record());
        world.store.memory.replace(Some(rotated));
        assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY);
        assert_eq!(world.issuer.requests(), (1, 1), "{fault:?}: the spent token stays here");
    }
}

#[tokio::test(start_paused = true)]
async fn g2_a_refusal_is_believed_once_nobody_won() {
    let world = World::new();
    let managers = [world.manager().await, world.manager().await];
    let auth = managers[0].auth().expect("signed in");
    world.issuer.rotate(&world.store.memory.record().expect("a record"));
    for manager in [&managers[0], &managers[0], &managers[1]] {
        let error = recover(manager, &auth).await.expect_err("refused");
        assert_eq!((error.code(), error.reason()), ("refresh_token_reused", Some("reused")));
    }
    assert_eq!(world.issuer.requests(), (1, 1), "a verdict costs the others no call");
    world.pass(Duration::from_secs(120)).await;
    recover(&managers[0], &auth).await.expect_err("refused");
    assert_eq!(world.issuer.requests(), (1, 1), "who heard the refusal never asks again");
    recover(&managers[1], &auth).await.expect_err("refused");
    assert_eq!(world.issuer.requests(), (2, 1), "the others make sure once a minute");
    world.sign_in("acct-a");
    assert_eq!(recover(&managers[0], &auth).await.expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn g4_a_cancelled_caller_loses_nothing() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let cancelled = tokio::time::timeout(Duration::from_millis(50), manager.refresh_token(&auth));
    assert!(cancelled.await.is_err());
    assert!(manager.close(Duration::from_secs(1)).await);
    assert_ne!(world.stored().as_deref(), Some(refresh_token(&auth)));
    assert_eq!(world.stored().as_deref(), manager.auth().as_ref().map(refresh_token));
}

#[tokio::test(start_paused = true)]
async fn a_recovery_adopts_once_and_refreshes_once() {
    let world = World::new();
    let manager = world.manager().await;
    let recovery = manager.unauthorized_recovery();
    let first = manager.auth().expect("signed in");
    world.store.memory.replace(Some(world.issuer.rotate(first.record())));
    assert_eq!(manager.recover_from_unauthorized(&first, &recovery).await.expect("adopted"), RETRY);
    assert_eq!(world.issuer.requests(), (0, 1));
    let second = manager.auth().expect("signed in");
    assert_eq!(
        manager.recover_from_unauthorized(&second, &recovery).await.expect("refreshed"),
        RETRY
    );
    assert_eq!(world.issuer.requests(), (1, 2));
    let third = manager.auth().expect("signed in");
    let end = manager.recover_from_unauthorized(&third, &recovery).await.expect("an outcome");
    assert_eq!(end, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::Exhausted));
    assert_eq!(recovery.give_up_reason(), Some(GiveUpReason::Exhausted));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_still_valid_is_refreshed_in_the_background() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let is_same = |found: &CodexAuth| found.access_token() == auth.access_token();
    assert!(manager.fresh_auth().await.expect("ready").as_ref().is_some_and(is_same));
    assert_eq!(world.issuer.requests(), (0, 0), "nothing is due");
    world.pass(Duration::from_secs(3600 - 599)).await;
    assert!(manager.fresh_auth().await.expect("ready").as_ref().is_some_and(is_same));
    assert!(manager.close(Duration::from_secs(1)).await);
    assert!(!manager.auth().as_ref().is_some_and(is_same));
    assert_eq!(world.issuer.requests(), (1, 1));
    world.pass(Duration::from_secs(2 * 3600)).await;
    assert!(manager.fresh_auth_if_ready().is_none(), "an expired token makes its caller wait");
    let fresh = manager.fresh_auth().await.expect("refreshed").expect("signed in");
    assert!(!world.has_expired(&fresh));
    assert_eq!(world.issuer.requests(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_version_is_another_one_when_the_snapshot_is_and_holds_until_then() {
    let world = World::new();
    let manager = world.manager().await;
    let version = manager.version();
    let mut seen = vec![version.load(Ordering::Acquire)];
    assert!(!manager.reload().await.expect("read"), "nothing new");
    seen.push(version.load(Ordering::Acquire));
    assert_eq!(seen[0], seen[1]);
    let now = world.environment.clock.now();
    assert!(manager.fresh_span().is_some_and(|span| span.contains(&now)));
    recover(&manager, &manager.auth().expect("signed in")).await.expect("refreshed");
    seen.push(version.load(Ordering::Acquire));
    manager.logout(LogoutOptions::default()).await.expect("signed out");
    seen.push(version.load(Ordering::Acquire));
    assert!(seen[1] != seen[2] && seen[2] != seen[3], "{seen:?}");
    assert_eq!(manager.fresh_span(), None);
}

#[tokio::test(start_paused = true)]
async fn g10_a_token_that_was_rejected_once_is_not_adopted_again() {
    let world = World::new();
    let manager = world.manager().await;
    let first = manager.auth().expect("signed in");
    recover(&manager, &first).await.expect("refreshed");
    let second = manager.auth().expect("signed in");
    world.pass(Duration::from_secs(120)).await;
    let mut odd = world.issuer.rotate(second.record());
    let rejected = first.managed_tokens().expect("a login").access_token.clone();
    odd.tokens.as_mut().expect("tokens").access_token = rejected;
    world.store.memory.replace(Some(odd));
    assert_eq!(recover(&manager, &second).await.expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (2, 3));
    assert_ne!(manager.auth().expect("signed in").access_token(), first.access_token());
}
