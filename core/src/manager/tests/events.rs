//! What subscribers are told: one event per fact, in order, and nothing that is held up by them.

use crate::LogoutOptions;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::world::{Fault, World};
use super::{recover, start_recovery};
use crate::auth_dot_json::AuthDotJson;
use crate::token_endpoint::RefusalReason;
use crate::{Event, Events};

/// What was sent and not read yet.
pub(super) async fn told(events: &mut Events) -> Vec<Event> {
    let mut told = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        told.push(event);
    }
    told
}

pub(super) async fn kinds(events: &mut Events) -> Vec<&'static str> {
    told(events).await.iter().map(Event::kind).collect()
}

#[tokio::test(start_paused = true)]
async fn events_are_delivered_in_order_until_that_is_stopped() {
    let world = World::new();
    let manager = world.manager().await;
    let (sender, mut delivered) = tokio::sync::mpsc::unbounded_channel();
    let delivery = manager.deliver_events(move |event| {
        let sender = sender.clone();
        Box::pin(async move { sender.send(event.kind()).expect("a listener") })
    });
    let auth = manager.auth().expect("signed in");
    manager.refresh_token(&auth).await.expect("refreshed").expect("signed in");
    manager
        .logout(LogoutOptions { revoke: false, ..LogoutOptions::default() })
        .await
        .expect("signed out");
    assert_eq!(delivered.recv().await, Some("refreshed"));
    assert_eq!(delivered.recv().await, Some("logged_out"));
    delivery.stop();
    assert_eq!(delivered.recv().await, None);

    let (sender, mut delivered) = tokio::sync::mpsc::unbounded_channel::<Event>();
    let _delivery = manager.deliver_events(move |event| {
        let sender = sender.clone();
        Box::pin(async move { drop(sender.send(event)) })
    });
    drop(manager);
    assert!(delivered.recv().await.is_none(), "it ends with the manager");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_told_once_to_each_and_to_the_others_as_adopted() {
    let world = World::new();
    let (redeemer, adopter) = (world.manager().await, world.manager().await);
    let mut events = [redeemer.subscribe(), redeemer.clone().subscribe()];
    let mut adopted = adopter.subscribe();
    let auth = redeemer.auth().expect("signed in");
    recover(&redeemer, &auth).await.expect("recovered");
    recover(&redeemer, &auth).await.expect("recovered");
    for events in &mut events {
        assert_eq!(kinds(events).await, ["refreshed"]);
    }
    for _ in 0..2 {
        recover(&adopter, &auth).await.expect("recovered");
        adopter.reload().await.expect("read");
    }
    assert_eq!(kinds(&mut adopted).await, ["adopted"]);
    let mut touched = AuthDotJson::clone(adopter.auth().expect("signed in").record());
    touched.auth_mode = None;
    world.store.memory.replace(Some(touched));
    assert!(adopter.reload().await.expect("read"));
    assert_eq!(kinds(&mut adopted).await, [""; 0], "the tokens are the same");
}

#[tokio::test(start_paused = true)]
async fn a_save_that_fails_is_told_once_and_so_is_its_recovery() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let auth = manager.auth().expect("signed in");
    world.store.failing_commits.store(6, Ordering::SeqCst);
    recover(&manager, &auth).await.expect("recovered");
    let early = told(&mut events).await;
    assert_eq!(early.iter().map(Event::kind).collect::<Vec<_>>(), ["refreshed", "save_failed"]);
    let Event::SaveFailed(error) = &early[1] else { panic!("{early:?}") };
    assert_eq!((error.code(), error.to_string().as_str()), ("store_unavailable", "disk full"));
    world.pass(Duration::from_secs(60)).await;
    assert!(!manager.pending_save());
    assert_eq!(kinds(&mut events).await, ["save_recovered"]);
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_is_seen_before_it_is_published_is_not_adopted() {
    for (before, after) in [(8, 0), (0, 8)] {
        let world = World::new();
        let manager = world.manager().await;
        let mut events = manager.subscribe();
        let auth = manager.auth().expect("signed in");
        world.store.commit_takes.set(Duration::from_secs(before), Duration::from_secs(after));
        let waiting = start_recovery(&manager, &auth);
        world.pass(Duration::from_secs(2)).await;
        assert!(manager.reload().await.expect("read"), "the pair is known before the commit ends");
        waiting.await.expect("no panic").expect("recovered");
        assert_eq!(kinds(&mut events).await, ["refreshed"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_told_once_for_all_who_waited() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::Refused(RefusalReason::Invalidated)]);
    let waiting: Vec<_> = (0..100).map(|_| start_recovery(&manager, &auth)).collect();
    for waiting in waiting {
        waiting.await.expect("no panic").expect_err("refused");
    }
    let told = told(&mut events).await;
    assert!(
        matches!(&told[..], [Event::RefreshFailed(error)] if error.code() == "refresh_token_invalidated"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_logout_and_another_login_are_told_once_whoever_does_it() {
    let world = World::new();
    let (manager, other) = (world.manager().await, world.manager().await);
    let pinned = world.builder().account_id("acct-a").build().await.expect("a manager");
    let mut events = [manager.subscribe(), other.subscribe(), pinned.subscribe()];
    manager
        .logout(LogoutOptions { revoke: false, ..LogoutOptions::default() })
        .await
        .expect("logged out");
    for _ in 0..2 {
        other.reload().await.expect("read");
        pinned.reload().await.expect("read");
    }
    for events in &mut events {
        assert_eq!(kinds(events).await, ["logged_out"]);
    }
    for (account, to_pinned) in
        [("acct-a", &["identity_changed"][..]), ("acct-b", &["identity_changed"]), ("acct-c", &[])]
    {
        world.sign_in(account);
        for _ in 0..2 {
            manager.reload().await.expect("read");
            pinned.reload().await.expect("read");
        }
        assert_eq!(kinds(&mut events[0]).await, ["identity_changed"]);
        assert_eq!(kinds(&mut events[2]).await, to_pinned, "{account}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_is_told_what_it_missed() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    for account in 0..100 {
        world.sign_in(&format!("acct-{account}"));
        manager.reload().await.expect("read");
    }
    let told = told(&mut events).await;
    assert!(matches!(told[0], Event::Missed(36)), "{:?}", told[0]);
    assert_eq!(told.len(), 1 + 64);
    assert!(told[1..].iter().all(|event| matches!(event, Event::IdentityChanged)));
}

#[tokio::test(start_paused = true)]
async fn events_end_with_the_manager_and_survive_a_cancelled_wait() {
    let world = World::new();
    let manager = world.manager().await;
    let (clone, mut events) = (manager.clone(), manager.subscribe());
    assert!(timeout(Duration::from_secs(1), events.next()).await.is_err(), "nothing happened");
    drop(manager);
    clone
        .logout(LogoutOptions { revoke: false, ..LogoutOptions::default() })
        .await
        .expect("logged out");
    drop(clone);
    assert!(matches!(events.next().await, Some(Event::LoggedOut)));
    assert!(events.next().await.is_none());
}
