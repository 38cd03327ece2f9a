//! What a process leaves behind that ends before its new tokens are saved.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::world::World;
use super::{RETRY, recover, refresh_token, start_recovery};
use crate::auth_dot_json::AuthDotJson;
use crate::storage::FileStorage;
use crate::{AuthManager, child};

async fn manager(world: &World, home: &Path) -> AuthManager {
    let store = Arc::new(FileStorage::new(home, world.environment.clone()));
    world.builder().storage(store).build().await.expect("a manager")
}

/// Refreshes the login in `home`, whose commit lock another program takes before the save, and ends.
async fn end_before_the_save(home: &Path) -> ! {
    let world = World::new();
    let record = world.issuer.login("acct-a");
    fs::write(home.join("auth.json"), record.to_json().expose()).expect("written");
    let manager = manager(&world, home).await;
    let auth = manager.auth().expect("signed in");
    let task = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    let lock = File::open(home.join("auth.lock")).expect("there");
    lock.try_lock().expect("free");
    assert_eq!(task.await.expect("no panic").expect("recovered"), RETRY);
    assert!(manager.pending_save());
    let unsaved = manager.auth().expect("signed in");
    fs::write(home.join("granted"), refresh_token(&unsaved)).expect("written");
    std::process::abort();
}

#[tokio::test(start_paused = true)]
async fn g4_a_pair_that_a_commit_lock_has_held_up_is_saved_by_the_next_process() {
    const TEST: &str = "manager::tests::exits::\
        g4_a_pair_that_a_commit_lock_has_held_up_is_saved_by_the_next_process";
    if let Some(home) = child::role() {
        end_before_the_save(Path::new(&home)).await;
    }
    let home = tempfile::tempdir().expect("a folder");
    let output = child::play(&mut child::playing(TEST, home.path().to_str().expect("a text")));
    let granted = fs::read_to_string(home.path().join("granted"));
    let granted = granted.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let world = World::new();
    let manager = manager(&world, home.path()).await;
    let auth = manager.auth().expect("signed in");
    assert_ne!(refresh_token(&auth), granted, "it was not saved");
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
    let adopted = manager.auth().expect("signed in");
    assert_eq!((refresh_token(&adopted), world.issuer.requests()), (granted.as_str(), (0, 0)));
    let stored = fs::read(home.path().join("auth.json")).expect("there");
    assert_eq!(AuthDotJson::parse(&stored).expect("a record"), **adopted.record());
}
