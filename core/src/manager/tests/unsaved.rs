//! The effective record: a pair that could not be saved, or that another program has overwritten
//! with an older one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::events::kinds;
use super::world::{Fault, World};
use super::{RETRY, recover, refresh_token, start_recovery};
use crate::auth_dot_json::AuthDotJson;
use crate::ledger::Ledger;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;
use crate::{AuthManager, GiveUpReason, SyncOutcome, UnauthorizedRecoveryDecision};

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
async fn a_pair_that_a_late_caller_saves_is_known_to_be_saved_at_once() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(1, Ordering::SeqCst);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    assert!(manager.pending_save());
    let unsaved = manager.auth();
    assert!(manager.refresh_token(&auth).await.expect("no error") == unsaved);
    assert!(!manager.pending_save(), "before the save that would be tried again next");
    assert_eq!(kinds(&mut events).await, ["refreshed", "save_failed", "save_recovered"]);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.store.commits.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn g7_a_pair_that_was_written_but_not_synced_is_written_again() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.failing_syncs.store(1, Ordering::SeqCst);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    let unsaved = manager.auth().expect("signed in");
    assert!(manager.pending_save());
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&unsaved)), "it is there");
    let written = world.store.stamp();
    assert!(manager.close(Duration::from_secs(60)).await);
    assert!(!manager.pending_save());
    assert_ne!(world.store.stamp(), written, "but only another write can tell that it stays");
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&unsaved)));
}

#[tokio::test(start_paused = true)]
async fn g4_so_is_one_whose_refresh_token_the_server_left_as_it_was() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(3, Ordering::SeqCst);
    world.issuer.fail_with([Fault::Unrotated]);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    let unsaved = manager.auth().expect("signed in");
    assert_ne!(unsaved.access_token(), auth.access_token());
    assert!(!manager.reload().await.expect("read"), "the store is behind, and replaces nothing");
    assert!(manager.close(Duration::from_secs(60)).await);
    let reader = world.manager().await.auth().expect("signed in");
    assert_eq!(reader.access_token(), unsaved.access_token());
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
async fn g4_a_pair_is_used_where_the_store_cannot_even_be_read() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    world.store.is_unreadable.store(true, Ordering::SeqCst);
    assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY);
    let unsaved = manager.auth().expect("signed in");
    assert_ne!(refresh_token(&unsaved), refresh_token(&auth));
    assert!(manager.pending_save());
    assert_eq!(recover(&manager, &auth).await.expect("a late caller recovers too"), RETRY);
    world.store.is_unreadable.store(false, Ordering::SeqCst);
    assert!(manager.close(Duration::from_secs(60)).await);
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&unsaved)));
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

/// A login that one manager has refreshed, which is gone by now, and whose new tokens another one
/// has adopted.
struct Adoption {
    adopter: AuthManager,
    /// The record that the refresh has replaced.
    replaced: Option<AuthDotJson>,
    first: CodexAuth,
    second: CodexAuth,
}

impl Adoption {
    async fn in_world(world: &World) -> Self {
        let (redeemer, adopter) = (world.manager().await, world.manager().await);
        let first = redeemer.auth().expect("signed in");
        let replaced = world.store.memory.record().as_deref().cloned();
        recover(&redeemer, &first).await.expect("refreshed");
        recover(&adopter, &first).await.expect("adopted");
        let second = adopter.auth().expect("signed in");
        Self { adopter, replaced, first, second }
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_only_adopted_knows_a_spent_token_by_the_stored_ledger() {
    let world = World::new();
    let Adoption { adopter, replaced, second, .. } = Adoption::in_world(&world).await;
    world.pass(Duration::from_secs(120)).await;
    world.store.memory.replace(replaced);
    assert_eq!(recover(&adopter, &second).await.expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (2, 2), "the successor was redeemed, not the spent token");
}

#[tokio::test(start_paused = true)]
async fn g1_a_spent_token_that_was_put_back_is_not_presented_by_who_never_had_its_successor() {
    let world = World::new();
    let manager = world.manager().await;
    let first = manager.auth().expect("signed in");
    let old = world.store.memory.record();
    recover(&manager, &first).await.expect("refreshed");
    world.pass(Duration::from_secs(120)).await;
    world.store.memory.replace(old.as_deref().cloned());
    let newcomer = world.manager().await;
    let auth = newcomer.auth().expect("signed in");
    let error = recover(&newcomer, &auth).await.expect_err("spent");
    assert_eq!((error.code(), world.issuer.requests()), ("refresh_token_reused", (1, 1)));
    manager.sync_from_storage(&first).await.expect("read");
    assert!(manager.close(Duration::from_secs(60)).await);
    assert_eq!(recover(&newcomer, &auth).await.expect("recovered"), RETRY, "it is there again");
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_redeemer_may_have_died_before_its_save_is_presented_again() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let lock = world.store.try_lock().await.expect("a lock").expect("free");
    let mut ledger = Ledger::default();
    let token = auth.refresh_fingerprint().expect("a login");
    ledger.rotate(token, Fingerprint::of(b"lost"));
    lock.set_ledger(&ledger).await.expect("noted");
    drop(lock);
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn a_manager_knows_the_tokens_it_spent_without_the_stored_ledger() {
    let world = World::new();
    let manager = world.manager().await;
    let first = manager.auth().expect("signed in");
    let old = world.store.memory.record();
    recover(&manager, &first).await.expect("refreshed");
    let second = manager.auth().expect("signed in");
    world.pass(Duration::from_secs(120)).await;
    world.store.memory.replace(old.as_deref().cloned());
    let lock = world.store.try_lock().await.expect("a lock").expect("free");
    lock.set_ledger(&Ledger::default()).await.expect("emptied");
    drop(lock);
    assert_eq!(recover(&manager, &second).await.expect("recovered"), RETRY);
    assert_eq!(world.issuer.requests(), (2, 2), "the successor was redeemed, not the spent token");
}

#[tokio::test(start_paused = true)]
async fn g4_a_reload_while_a_save_is_failing_does_not_hide_the_pair() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(usize::MAX, Ordering::SeqCst);
    world.store.commit_takes.set(Duration::from_secs(8), Duration::ZERO);
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_secs(2)).await;
    let mut touched = AuthDotJson::clone(auth.record());
    touched.auth_mode = None;
    world.store.memory.replace(Some(touched));
    manager.reload().await.expect("read");
    assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY);
    assert!(manager.pending_save());
    assert_ne!(refresh_token(&manager.auth().expect("signed in")), refresh_token(&auth));
}

#[tokio::test(start_paused = true)]
async fn g4_a_record_that_vanishes_for_a_moment_does_not_hide_the_pair() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(usize::MAX, Ordering::SeqCst);
    recover(&manager, &auth).await.expect("recovered");
    let unsaved = manager.auth().expect("signed in");
    let old = world.store.memory.record();
    world.store.memory.replace(None);
    assert!(manager.reload().await.expect("read"));
    world.store.memory.replace(old.as_deref().cloned());
    assert!(manager.reload().await.expect("read"));
    assert_eq!(refresh_token(&manager.auth().expect("signed in")), refresh_token(&unsaved));
}

#[tokio::test(start_paused = true)]
async fn g4_a_record_that_is_gone_while_it_would_be_saved_may_come_back() {
    for is_unsaved in [false, true] {
        let world = World::new();
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        let old = world.store.memory.record();
        world.store.failing_commits.store(usize::from(is_unsaved), Ordering::SeqCst);
        let waiting = start_recovery(&manager, &auth);
        world.pass(Duration::from_millis(50)).await;
        if is_unsaved {
            waiting.await.expect("no panic").expect("recovered");
            world.store.memory.replace(None);
            manager.reload().await.expect("read");
        } else {
            world.store.memory.replace(None);
            let decision = waiting.await.expect("no panic").expect("an outcome");
            assert_eq!(decision, UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::LoggedOut));
        }
        assert!(manager.close(Duration::from_secs(60)).await);
        assert!(!manager.pending_save() && world.stored().is_none(), "a logout is not undone");
        world.store.memory.replace(old.as_deref().cloned());
        manager.reload().await.expect("read");
        assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
        assert!(manager.close(Duration::from_secs(60)).await);
        assert_eq!(world.issuer.requests(), (1, 1), "the spent token was not presented");
        assert_eq!(
            world.stored().as_deref(),
            Some(refresh_token(&manager.auth().expect("signed in"))),
            "and its successor takes its place"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_adopted_token_is_kept_though_an_older_copy_of_all_files_is_put_back() {
    let world = World::new();
    let Adoption { adopter, replaced, first, second } = Adoption::in_world(&world).await;
    world.store.memory.replace(replaced);
    let lock = world.store.try_lock().await.expect("a lock").expect("free");
    lock.set_ledger(&Ledger::default()).await.expect("noted");
    drop(lock);
    assert!(!adopter.reload().await.expect("read"), "the newer token stays");
    assert_eq!(recover(&adopter, &first).await.expect("recovered"), RETRY);
    assert_eq!(adopter.auth().expect("signed in").access_token(), second.access_token());
    assert!(adopter.close(Duration::from_secs(60)).await);
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&second)), "and is put back");
    assert_eq!(world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_save_that_takes_long_is_not_repaired() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let auth = manager.auth().expect("signed in");
    world.store.commit_takes.set(Duration::from_secs(8), Duration::ZERO);
    let waiting = start_recovery(&manager, &auth);
    for _ in 0..3 {
        world.pass(Duration::from_secs(2)).await;
        manager.sync_from_storage(&auth).await.expect("read");
    }
    waiting.await.expect("no panic").expect("recovered");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(kinds(&mut events).await, ["refreshed"]);
    assert_eq!(world.store.commits.load(Ordering::SeqCst), 1);
}
