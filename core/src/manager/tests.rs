//! The guarantees under a paused clock.

mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use self::world::{Fault, World};
use crate::manager::{AuthManager, GiveUpReason, SyncOutcome, UnauthorizedRecoveryDecision};
use crate::sidecar::Sidecar;
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;
use crate::token_endpoint::RefusalReason;

const RETRY: UnauthorizedRecoveryDecision = UnauthorizedRecoveryDecision::Retry;

async fn recover(
    manager: &AuthManager,
    auth: &CodexAuth,
) -> crate::Result<UnauthorizedRecoveryDecision> {
    manager.recover_from_unauthorized(auth, &manager.unauthorized_recovery()).await
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
    let waiting = tokio::spawn({
        let (manager, auth) = (manager.clone(), auth.clone());
        async move { recover(&manager, &auth).await }
    });
    world.pass(Duration::from_secs(4)).await;
    assert!(!waiting.is_finished());
    world.store.memory.replace(Some(rotated.clone()));
    assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (1, 1), "the winner's token is adopted, not redeemed");
    let adopted = manager.auth().expect("signed in");
    assert_eq!(**adopted.record(), rotated);
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
async fn g3_a_login_during_the_exchange_stays_and_nothing_is_mixed() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let task = tokio::spawn({
        let (manager, auth) = (manager.clone(), auth.clone());
        async move { recover(&manager, &auth).await }
    });
    world.pass(Duration::from_millis(50)).await;
    world.sign_in("acct-b");
    let stored = world.store.memory.record();
    let decision = task.await.expect("no panic").expect("an outcome");
    assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch));
    assert_eq!(world.store.memory.record(), stored);
    assert_eq!(manager.auth().expect("signed in").account_id(), Some("acct-b"));
}

#[tokio::test(start_paused = true)]
async fn g3_tokens_that_another_account_was_written_over_are_not_saved_into_it() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let task = tokio::spawn({
        let (manager, auth) = (manager.clone(), auth.clone());
        async move { recover(&manager, &auth).await }
    });
    world.pass(Duration::from_millis(50)).await;
    let mut grafted = crate::AuthDotJson::clone(auth.record());
    grafted.tokens.as_mut().expect("tokens").account_id = Some("acct-b".to_owned());
    world.store.memory.replace(Some(grafted.clone()));
    let decision = task.await.expect("no panic").expect("an outcome");
    assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch));
    assert_eq!(world.store.memory.record().as_deref(), Some(&grafted));
}

#[tokio::test(start_paused = true)]
async fn g3_a_logout_during_the_exchange_is_not_undone() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let task = tokio::spawn({
        let (manager, auth) = (manager.clone(), auth.clone());
        async move { recover(&manager, &auth).await }
    });
    world.pass(Duration::from_millis(50)).await;
    let outcome = world.manager().await.logout(true).await.expect("signed out");
    assert!(outcome.removed);
    let decision = task.await.expect("no panic").expect("an outcome");
    assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::LoggedOut));
    assert_eq!((world.stored(), manager.auth().is_none()), (None, true));
}

#[tokio::test(start_paused = true)]
async fn g3_a_reply_of_another_account_changes_nothing() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let stored = world.store.memory.record();
    world.issuer.fail_with([Fault::OtherAccount]);
    let decision = recover(&manager, &auth).await.expect("an outcome");
    assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch));
    assert_eq!(world.store.memory.record(), stored);
    assert_eq!(refresh_token(&manager.auth().expect("signed in")), refresh_token(&auth));
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
async fn g4_a_pair_that_cannot_be_saved_is_used_and_saved_later() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(3, Ordering::SeqCst);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    let unsaved = manager.auth().expect("signed in");
    assert!(manager.pending_save());
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&auth)), "the store is behind");
    assert!(!manager.reload().await.expect("read"), "which replaces nothing");
    let outcome = manager.sync_from_storage(&auth).await.expect("read");
    assert_eq!(outcome, SyncOutcome::Applied { changed: false });
    assert!(manager.close(Duration::from_secs(60)).await);
    assert!(!manager.pending_save());
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&unsaved)));
    assert_eq!(world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn g4_nothing_is_redeemed_while_a_pair_is_unsaved() {
    let world = World::new();
    let (manager, other) = (world.manager().await, world.manager().await);
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    let unsaved = manager.auth().expect("signed in");
    let error = recover(&manager, &unsaved).await.expect_err("not saved");
    assert_eq!(error.code(), "store_unavailable");
    let error = recover(&other, &auth).await.expect_err("locked");
    assert_eq!(error.code(), "lock_timeout", "the lock is kept for the pair");
    assert_eq!(world.issuer.requests(), (1, 1));
    world.store.failing_commits.store(0, Ordering::SeqCst);
    assert_eq!(recover(&manager, &unsaved).await.expect("recovered"), RETRY);
    assert_eq!(recover(&other, &auth).await.expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_stale_writer_cannot_make_us_redeem_a_spent_token() {
    let world = World::new();
    let manager = world.manager().await;
    let first = manager.auth().expect("signed in");
    let old = world.store.memory.record();
    recover(&manager, &first).await.expect("recovered");
    let second = manager.auth().expect("signed in");
    world.pass(Duration::from_secs(120)).await;
    world.store.memory.replace(old.as_deref().cloned());
    assert_eq!(recover(&manager, &second).await.expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (2, 2), "the successor was redeemed, not the spent token");
    let third = manager.auth().expect("signed in");
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&third)));
    world.store.memory.replace(old.as_deref().cloned());
    let outcome = manager.sync_from_storage(&third).await.expect("read");
    assert_eq!(outcome, SyncOutcome::Applied { changed: false });
    assert!(manager.close(Duration::from_secs(60)).await);
    assert_eq!(
        world.stored().as_deref(),
        Some(refresh_token(&third)),
        "and is put back for the others"
    );
}

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
async fn g11_an_api_that_rejects_everything_cannot_make_us_rotate_in_a_loop() {
    let world = World::new();
    let manager = world.manager().await;
    let mut decisions = Vec::new();
    recover(&manager, &manager.auth().expect("signed in"))
        .await
        .expect("the old token is not young");
    for _ in 0..10 {
        let auth = manager.auth().expect("signed in");
        decisions.push(recover(&manager, &auth).await.expect("an outcome"));
    }
    let gave_up = UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::FreshTokenRejected);
    assert_eq!(decisions[..4], [RETRY; 4]);
    assert_eq!(decisions[4..], [gave_up; 6]);
    assert_eq!(world.issuer.requests(), (5, 5));
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
    assert!(!fresh.is_expired(world.environment.clock.now()));
    assert_eq!(world.issuer.requests(), (2, 2));
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
async fn a_manager_that_only_adopted_knows_a_spent_token_by_the_locks_record() {
    let world = World::new();
    let (redeemer, adopter) = (world.manager().await, world.manager().await);
    let first = redeemer.auth().expect("signed in");
    let old = world.store.memory.record();
    recover(&redeemer, &first).await.expect("refreshed");
    recover(&adopter, &first).await.expect("adopted");
    let second = adopter.auth().expect("signed in");
    world.pass(Duration::from_secs(120)).await;
    world.store.memory.replace(old.as_deref().cloned());
    assert_eq!(recover(&adopter, &second).await.expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (2, 2), "the successor was redeemed, not the spent token");
}

#[tokio::test(start_paused = true)]
async fn a_manager_knows_the_tokens_it_spent_without_the_locks_record() {
    let world = World::new();
    let manager = world.manager().await;
    let first = manager.auth().expect("signed in");
    let old = world.store.memory.record();
    recover(&manager, &first).await.expect("refreshed");
    let second = manager.auth().expect("signed in");
    world.pass(Duration::from_secs(120)).await;
    world.store.memory.replace(old.as_deref().cloned());
    let lock = world.store.try_lock().await.expect("a lock").expect("free");
    lock.set_sidecar(&Sidecar::default()).expect("emptied");
    drop(lock);
    assert_eq!(recover(&manager, &second).await.expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (2, 2), "the successor was redeemed, not the spent token");
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
