//! Logins whose workspace another program switches in place: their refresh token stays good.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::events::kinds;
use super::spans::Collector;
use super::world::World;
use super::{RETRY, recover, refresh_token, start_recovery};
use crate::auth_dot_json::{AuthDotJson, TokenData};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;
use crate::{GiveUpReason, LogoutOptions, SyncOutcome, UnauthorizedRecoveryDecision};

const MISMATCH: UnauthorizedRecoveryDecision =
    UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch);

/// Changes the stored tokens as another program does.
fn edit(world: &World, edit: impl FnOnce(&mut TokenData)) {
    let stored = world.store.memory.record().expect("a record");
    let mut record = AuthDotJson::clone(&stored);
    edit(record.tokens.as_mut().expect("tokens"));
    world.store.memory.replace(Some(record));
}

/// Switches the stored login to `account`, as the Codex CLI does.
fn switch(world: &World, account: &str) {
    edit(world, |tokens| {
        tokens.account_id = Some(account.to_owned());
        tokens.access_token = Secret::new(format!("access-{account}"));
    });
}

fn access_token(auth: &CodexAuth) -> &str {
    auth.access_token().expect("a token").expose()
}

/// An access token of this user.
fn token_of_user(user: &str) -> Secret {
    let claims = json!({"https://api.openai.com/auth": {"chatgpt_user_id": user}});
    Secret::new(format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string())))
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_workspace_was_switched_is_used_and_redeemed() {
    let world = World::new();
    switch(&world, "acct-b");
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    assert_eq!((auth.account_id(), access_token(&auth)), (Some("acct-b"), "access-acct-b"));
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    let renewed = manager.auth().expect("signed in");
    assert_eq!(renewed.account_id(), Some("acct-b"), "whichever workspace the reply names");
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&renewed)));
    assert_eq!(world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn g3_a_request_is_not_repeated_in_another_workspace() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let auth = manager.auth().expect("signed in");
    switch(&world, "acct-b");
    let outcome = manager.sync_from_storage(&auth).await.expect("read");
    assert_eq!(outcome, SyncOutcome::IdentityMismatch);
    assert_eq!(recover(&manager, &auth).await.expect("an outcome"), MISMATCH);
    let switched = manager.auth().expect("signed in");
    assert_eq!(switched.account_id(), Some("acct-b"));
    assert_eq!(world.issuer.requests(), (0, 0));
    assert_eq!(recover(&manager, &switched).await.expect("recovered"), RETRY);
    switch(&world, "acct-a");
    assert!(manager.reload().await.expect("read"));
    let told = kinds(&mut events).await;
    assert_eq!(told, ["workspace_changed", "refreshed", "workspace_changed"]);
    assert!(manager.logout(LogoutOptions::default()).await.expect("signed out").revoked);
}

#[tokio::test(start_paused = true)]
async fn g4_a_switch_during_the_exchange_does_not_lose_the_pair() {
    for takes in [0, 1000] {
        let world = World::new();
        let manager = world.manager().await;
        let mut events = manager.subscribe();
        let auth = manager.auth().expect("signed in");
        world.store.commit_takes.set(Duration::from_millis(takes), Duration::from_millis(takes));
        let task = start_recovery(&manager, &auth);
        world.pass(Duration::from_millis(50)).await;
        switch(&world, "acct-b");
        assert_eq!(task.await.expect("no panic").expect("an outcome"), MISMATCH);
        let switched = manager.auth().expect("signed in");
        assert_eq!(switched.account_id(), Some("acct-b"));
        assert_eq!(access_token(&switched), "access-acct-b", "that of the new workspace");
        assert_ne!(refresh_token(&switched), refresh_token(&auth));
        assert!(world.issuer.is_live(&world.stored().expect("signed in")));
        assert_eq!(**switched.record(), *world.store.memory.record().expect("a record"));
        assert_eq!(kinds(&mut events).await, ["refreshed", "workspace_changed"]);
        assert_eq!(recover(&manager, &switched).await.expect("recovered"), RETRY);
        assert_eq!(world.issuer.requests(), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_switch_does_not_drop_an_unsaved_pair() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    let unsaved = manager.auth().expect("signed in");
    switch(&world, "acct-b");
    assert_eq!(recover(&manager, &unsaved).await.expect("an outcome"), MISMATCH);
    assert!(manager.pending_save());
    let switched = manager.auth().expect("signed in");
    assert_eq!(access_token(&switched), "access-acct-b");
    assert_eq!(refresh_token(&switched), refresh_token(&unsaved));
    world.store.failing_commits.store(0, Ordering::SeqCst);
    assert!(manager.close(Duration::from_secs(60)).await);
    assert_eq!(**switched.record(), *world.store.memory.record().expect("a record"));
    assert_eq!(world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn g4_a_spent_token_that_comes_back_with_another_workspace_gets_its_successor() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    let renewed = manager.auth().expect("signed in");
    world.store.memory.replace(Some(AuthDotJson::clone(auth.record())));
    switch(&world, "acct-b");
    manager.sync_from_storage(&renewed).await.expect("read");
    assert!(manager.close(Duration::from_secs(60)).await);
    let stored = world.store.memory.record().expect("a record");
    let tokens = stored.tokens.as_ref().expect("tokens");
    assert_eq!(tokens.refresh_token.expose(), refresh_token(&renewed));
    assert_eq!(tokens.access_token.expose(), "access-acct-b");
    assert_eq!(tokens.account_id.as_deref(), Some("acct-b"));
}

#[tokio::test(start_paused = true)]
async fn g4_a_pin_does_not_keep_the_pair_of_a_switched_login_from_the_store() {
    let world = World::new();
    let manager = world.builder().account_id("acct-a").build().await.expect("a manager");
    let mut events = manager.subscribe();
    let auth = manager.auth().expect("signed in");
    let task = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    switch(&world, "acct-b");
    assert_eq!(task.await.expect("no panic").expect("an outcome"), MISMATCH);
    assert!(manager.auth().is_none());
    assert_eq!(kinds(&mut events).await, ["refreshed", "workspace_changed"]);
    assert!(world.issuer.is_live(&world.stored().expect("signed in")));
    switch(&world, "acct-a");
    manager.reload().await.expect("read");
    assert_eq!(manager.auth().expect("signed in").account_id(), Some("acct-a"));
}

#[tokio::test(start_paused = true)]
async fn g4_a_pinned_manager_puts_a_successor_back_into_the_record_of_another_workspace() {
    for is_redeemer in [true, false] {
        let world = World::new();
        let manager = world.builder().account_id("acct-a").build().await.expect("a manager");
        let auth = manager.auth().expect("signed in");
        if !is_redeemer {
            recover(&world.manager().await, &auth).await.expect("refreshed");
        }
        assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
        let renewed = manager.auth().expect("signed in");
        // The second time it has had no snapshot any more.
        for _ in 0..2 {
            world.store.memory.replace(Some(AuthDotJson::clone(auth.record())));
            switch(&world, "acct-b");
            let outcome = manager.sync_from_storage(&renewed).await.expect("read");
            assert_eq!(outcome, SyncOutcome::IdentityMismatch);
            assert!(manager.close(Duration::from_secs(60)).await);
            let stored = world.store.memory.record().expect("a record");
            let tokens = stored.tokens.as_ref().expect("tokens");
            assert_eq!(tokens.refresh_token.expose(), refresh_token(&renewed));
            assert_eq!(tokens.access_token.expose(), "access-acct-b");
            assert_eq!(tokens.account_id.as_deref(), Some("acct-b"));
            assert!(manager.auth().is_none(), "and is not handed out");
        }
        assert_eq!(world.issuer.requests(), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn g14_a_record_of_two_users_is_left_alone_with_a_warning() {
    let (said, _guard) = Collector::start();
    let world = World::new();
    edit(&world, |tokens| {
        tokens.id_token = token_of_user("user-1");
        tokens.access_token = token_of_user("user-2");
    });
    let manager = world.manager().await;
    manager.reload().await.expect("read");
    let warning = "the stored login is not used: its id token and its access token name two users; \
                   sign in again";
    assert_eq!(said.text().matches(warning).count(), 1, "{}", said.text());
    assert!(said.text().contains(&world.store.location()), "{}", said.text());
}

#[tokio::test(start_paused = true)]
async fn g3_tokens_of_two_users_are_neither_used_nor_redeemed() {
    let world = World::new();
    edit(&world, |tokens| {
        tokens.id_token = token_of_user("user-1");
        tokens.access_token = token_of_user("user-1");
    });
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let auth = manager.auth().expect("signed in");
    edit(&world, |tokens| tokens.access_token = token_of_user("user-2"));
    let stored = world.store.memory.record();
    assert_eq!(recover(&manager, &auth).await.expect("an outcome"), MISMATCH);
    assert!(manager.fresh_auth().await.expect("read").is_none());
    assert!(world.manager().await.auth().is_none());
    assert_eq!(kinds(&mut events).await, ["identity_changed"]);
    assert_eq!((world.store.memory.record(), world.issuer.requests()), (stored, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn g3_a_hidden_login_stays_foreign_while_the_store_cannot_be_read() {
    let world = World::new();
    let manager = world.builder().account_id("acct-a").build().await.expect("a manager");
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    assert!(manager.pending_save());
    switch(&world, "acct-b");
    for is_unreadable in [false, true] {
        world.store.is_unreadable.store(is_unreadable, Ordering::SeqCst);
        let outcome = manager.sync_from_storage(&auth).await.expect("an outcome");
        assert_eq!(outcome, SyncOutcome::IdentityMismatch, "{is_unreadable}");
    }
}
