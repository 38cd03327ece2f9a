//! A store that tells nobody of its changes is followed all the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::events::kinds;
use super::world::World;

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
