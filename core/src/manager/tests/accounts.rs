//! No account is ever mixed with another.

use crate::LogoutOptions;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::{Fault, World};
use super::{RETRY, recover, refresh_token, start_recovery};
use crate::auth_dot_json::{AuthDotJson, Provenance};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::{GiveUpReason, UnauthorizedRecoveryDecision};

#[tokio::test(start_paused = true)]
async fn g3_a_login_during_the_exchange_stays_and_nothing_is_mixed() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let task = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    world.sign_in("acct-b");
    let stored = world.store.memory.record();
    let decision = task.await.expect("no panic").expect("an outcome");
    assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch));
    assert_eq!(world.store.memory.record(), stored);
    assert_eq!(manager.auth().expect("signed in").account_id(), Some("acct-b"));
}

#[tokio::test(start_paused = true)]
async fn g3_a_logout_during_the_exchange_is_not_undone() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let task = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    let outcome = world.manager().await.logout(LogoutOptions::default()).await.expect("signed out");
    assert!(outcome.removed);
    let decision = task.await.expect("no panic").expect("an outcome");
    assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::LoggedOut));
    assert_eq!((world.stored(), manager.auth().is_none()), (None, true));
}

#[tokio::test(start_paused = true)]
async fn g3_a_reply_of_another_account_changes_nothing() {
    for fault in [Fault::OtherAccount, Fault::OtherAccessToken] {
        let world = World::new();
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        let stored = world.store.memory.record();
        world.issuer.fail_with([fault]);
        let decision = recover(&manager, &auth).await.expect("an outcome");
        let mismatch = UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch);
        assert_eq!(decision, mismatch, "{fault:?}");
        assert_eq!(world.store.memory.record(), stored, "{fault:?}");
        assert_eq!(refresh_token(&manager.auth().expect("signed in")), refresh_token(&auth));
    }
}

#[tokio::test(start_paused = true)]
async fn g3_a_reply_of_another_account_is_no_matter_where_the_store_has_a_new_login() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::OtherAccount]);
    let task = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    world.sign_in("acct-a");
    assert_eq!(task.await.expect("no panic").expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn g3_a_pinned_manager_does_not_use_what_it_refreshed_where_its_account_is_gone() {
    let world = World::new();
    let mut record = world.issuer.login("acct-a");
    record.tokens.as_mut().expect("tokens").id_token = Secret::new("opaque");
    world.store.memory.replace(Some(record.clone()));
    let manager = world.builder().account_id("acct-a").build().await.expect("a manager");
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::WithoutIdToken]);
    let task = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    let mut nameless = record;
    nameless.tokens.as_mut().expect("tokens").account_id = None;
    world.store.memory.replace(Some(nameless));
    let decision = task.await.expect("no panic").expect("an outcome");
    assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch));
    assert!(manager.auth().is_none());
}

#[tokio::test(start_paused = true)]
async fn g1_a_token_that_was_answered_for_another_account_is_not_presented_again() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::OtherAccount]);
    recover(&manager, &auth).await.expect("an outcome");
    let error = recover(&manager, &auth).await.expect_err("spent");
    assert_eq!(error.reason(), Some("other_account"));
    assert_eq!(world.issuer.requests().0, 1);
}

#[tokio::test(start_paused = true)]
async fn g3_an_outcome_is_never_another_accounts_login() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.commit_takes.set(Duration::ZERO, Duration::from_secs(1));
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(600)).await;
    world.sign_in("acct-b");
    manager.reload().await.expect("read");
    let decision = waiting.await.expect("no panic").expect("an outcome");
    assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch));
}

#[tokio::test(start_paused = true)]
async fn g3_a_flight_is_shared_by_one_identity_only() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let mut grafted = AuthDotJson::clone(auth.record());
    grafted.tokens.as_mut().expect("tokens").account_id = Some("acct-b".to_owned());
    let other = CodexAuth::received(Arc::new(grafted), &"test".into()).expect("a login");
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    assert!(manager.refresh_token(&other).await.expect("an outcome").is_none());
    assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn g3_a_logout_revokes_what_is_logged_out_and_nothing_else() {
    for switches in [false, true] {
        let world = World::new();
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        world.store.failing_commits.store(usize::MAX, Ordering::SeqCst);
        recover(&manager, &auth).await.expect("recovered");
        let unsaved = manager.auth().expect("signed in");
        if switches {
            world.sign_in("acct-b");
            manager.reload().await.expect("read");
        }
        let current = manager.auth().expect("signed in");
        assert!(manager.logout(LogoutOptions::default()).await.expect("signed out").revoked);
        assert!(!world.issuer.is_live(refresh_token(&current)));
        assert_eq!(world.issuer.is_live(refresh_token(&unsaved)), switches);
    }
}

#[tokio::test(start_paused = true)]
async fn g3_a_logout_signs_nobody_out_who_signed_in_meanwhile() {
    let world = World::new();
    let manager = world.manager().await;
    world.issuer.revocation_takes.set(Duration::ZERO, Duration::from_millis(100));
    let hand = manager.clone();
    let task = tokio::spawn(async move { hand.logout(LogoutOptions::default()).await });
    world.pass(Duration::from_millis(50)).await;
    world.sign_in("acct-b");
    manager.reload().await.expect("read");
    let error = task.await.expect("no panic").expect_err("another account's");
    assert_eq!(error.code(), "identity_mismatch");
    assert!(world.issuer.is_live(&world.stored().expect("signed in")));
}

#[tokio::test(start_paused = true)]
async fn g9_a_sign_in_and_a_logout_remove_what_a_dead_program_left_of_the_old_login() {
    for signs_in in [false, true] {
        let world = World::new();
        let manager = world.manager().await;
        *world.store.left.lock().expect("no panic") = Some(world.issuer.login("acct-a"));
        if signs_in {
            let key = Secret::new("sk-another".to_owned());
            manager.login_with_api_key(&key).await.expect("signed in");
        } else {
            manager.logout(LogoutOptions::default()).await.expect("signed out");
        }
        assert_eq!(*world.store.left.lock().expect("no panic"), None, "signs in: {signs_in}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_is_redeemed_and_revoked_as_the_client_that_its_record_names() {
    for named in [None, Some("another-app")] {
        let world = World::new();
        let mut record = world.issuer.login("acct-a");
        if let Some(client_id) = named.map(str::to_owned) {
            let issuer = "https://elsewhere".to_owned();
            let tokens = record.tokens.as_mut().expect("tokens");
            tokens.set_provenance(&Provenance { issuer, client_id });
        }
        world.store.memory.replace(Some(record));
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
        manager.logout(LogoutOptions::default()).await.expect("signed out");
        let named = named.map(str::to_owned);
        assert_eq!(world.issuer.clients(), [named.clone(), named]);
    }
}
