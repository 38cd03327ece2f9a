//! A store that tells nobody of its changes is followed all the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::events::kinds;
use super::spans::Collector;
use super::world::World;
use super::{recover, refresh_token};
use crate::RefreshMode;
use crate::auth_dot_json::AuthDotJson;
#[cfg(target_os = "linux")]
use crate::{AuthManager, storage::StoreKind};

/// More than the time between two looks.
const SOON: Duration = Duration::from_millis(1100);

#[tokio::test(start_paused = true)]
async fn what_others_store_is_adopted_within_a_second_without_any_caller() {
    for is_unstamped in [false, true] {
        let world = World::new();
        world.store.is_unstamped.store(is_unstamped, Ordering::SeqCst);
        let manager = world.manager().await;
        let mut events = manager.subscribe();
        let _following = manager.follow_store();
        world.pass(SOON).await;
        assert_eq!(kinds(&mut events).await, [""; 0]);
        let rotated = world.issuer.rotate(&world.store.memory.record().expect("a record"));
        for (record, kind) in [
            (Some(rotated), "adopted"),
            (None, "logged_out"),
            (Some(world.issuer.login("acct-b")), "identity_changed"),
        ] {
            world.store.memory.replace(record);
            world.pass(SOON).await;
            assert_eq!(kinds(&mut events).await, [kind], "unstamped: {is_unstamped}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_before_it_is_followed_is_adopted_too() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    world.sign_in("acct-b");
    let _following = manager.follow_store();
    world.pass(SOON).await;
    assert_eq!(kinds(&mut events).await, ["identity_changed"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_read_yet_is_read_later() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let _following = manager.follow_store();
    world.pass(SOON).await;
    world.store.is_unreadable.store(true, Ordering::SeqCst);
    world.sign_in("acct-b");
    world.pass(5 * SOON).await;
    assert_eq!(kinds(&mut events).await, [""; 0]);
    world.store.is_unreadable.store(false, Ordering::SeqCst);
    world.pass(SOON).await;
    assert_eq!(kinds(&mut events).await, ["identity_changed"]);
}

#[tokio::test(start_paused = true)]
async fn following_ends_with_its_handle() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    let following = manager.follow_store();
    drop(manager);
    world.sign_in("acct-b");
    world.pass(SOON).await;
    assert_eq!(kinds(&mut events).await, ["identity_changed"], "the handle keeps the manager");
    following.stop();
    let end = timeout(Duration::from_secs(1), events.next()).await;
    assert!(end.expect("nothing keeps the manager any more").is_none());
}

/// How many watchers of the system this process has.
#[cfg(target_os = "linux")]
fn watchers() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux");
    let links = open.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    links.filter(|link| link.as_os_str() == "anon_inode:inotify").count()
}

/// Linux grants a user 128 watchers by default, and each has a thread.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn managers_that_follow_share_one_watcher_which_ends_with_the_last_of_them() {
    let mut followers = Vec::new();
    for _ in 0..130 {
        let home = tempfile::tempdir().expect("a folder");
        let builder = AuthManager::builder().codex_home(home.path()).store(StoreKind::File);
        let manager = builder.build().await.expect("a manager");
        let (events, following) = (manager.subscribe(), manager.follow_store());
        followers.push((home, manager, events, following));
    }
    for (home, _, events, _) in &mut followers {
        let auth_json = home.path().join("auth.json");
        std::fs::write(auth_json, r#"{"OPENAI_API_KEY": "sk-1"}"#).expect("written");
        assert_eq!(events.next().await.expect("an event").kind(), "identity_changed");
    }
    assert_eq!(watchers(), 1);
    drop(followers);
    timeout(Duration::from_secs(60), async {
        while watchers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the last follower ends it");
}

/// What another program stores that keeps a copy of the record, whose refresh token was redeemed since.
async fn spent_copy(world: &World) -> Option<AuthDotJson> {
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    recover(&manager, &auth).await.expect("refreshed");
    Some(AuthDotJson::clone(auth.record()))
}

#[tokio::test(start_paused = true)]
async fn a_spent_token_that_another_program_puts_back_is_put_right_as_soon_as_it_is_seen() {
    let world = World::new();
    let spent = spent_copy(&world).await;
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let mut events = manager.subscribe();
    {
        let _following = manager.follow_store();
        world.pass(SOON).await;
        world.store.memory.replace(spent.clone());
        world.pass(SOON).await;
        assert_eq!(world.stored().as_deref(), Some(refresh_token(&auth)));
    }
    {
        let _guardian = manager.keep_fresh();
        world.pass(SOON).await;
        world.store.memory.replace(spent);
        world.pass(Duration::from_secs(31)).await;
        assert_eq!(world.stored().as_deref(), Some(refresh_token(&auth)));
    }
    assert_eq!(world.issuer.requests(), (1, 1), "without a request");
    assert_eq!(kinds(&mut events).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn g14_a_spent_token_is_put_right_once_the_store_can_be_written() {
    let (said, _guard) = Collector::start();
    let world = World::new();
    let spent = spent_copy(&world).await;
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let _following = manager.follow_store();
    world.store.failing_commits.store(1, Ordering::SeqCst);
    world.store.memory.replace(spent);
    world.pass(2 * SOON).await;
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&auth)));
    assert!(said.text().contains("a spent refresh token stays"), "{}", said.text());
}

#[tokio::test(start_paused = true)]
async fn g11_a_program_that_puts_a_spent_token_back_again_and_again_is_not_fought_with() {
    let (said, _guard) = Collector::start();
    let world = World::new();
    let spent = spent_copy(&world).await;
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let _following = (manager.follow_store(), manager.keep_fresh());
    let before = world.store.commits.load(Ordering::SeqCst);
    for _ in 0..600 {
        world.pass(Duration::from_secs(1)).await;
        world.store.memory.replace(spent.clone());
    }
    let repairs = world.store.commits.load(Ordering::SeqCst) - before;
    assert!((5..=15).contains(&repairs), "four at once and one a minute: {repairs}");
    assert!(said.text().contains("keeps storing a spent refresh token"), "{}", said.text());
    world.pass(Duration::from_secs(61)).await;
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&auth)), "the last word");
    assert_eq!(world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_may_not_refresh_leaves_a_spent_token_to_others() {
    let world = World::new();
    let spent = spent_copy(&world).await;
    let manager = world.builder().refresh(RefreshMode::Never).build().await.expect("a manager");
    let before = world.store.commits.load(Ordering::SeqCst);
    let _following = (manager.follow_store(), manager.keep_fresh());
    world.store.memory.replace(spent);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.store.commits.load(Ordering::SeqCst), before);
}
