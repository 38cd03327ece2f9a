//! A manager that follows its store adopts what others write there while nobody calls it.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use codex_auth_sdk::environment::{BoxFuture, Clock, Environment, SystemClock};
use codex_auth_sdk::storage::FileStorage;
use codex_auth_sdk::{AuthManager, Events, FollowStore};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::watchdog::Watchdog;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Notify;

/// A clock without polls, unless it is told otherwise: only what the system tells is noticed.
#[derive(Default)]
struct Polls {
    clock: SystemClock,
    are_on: AtomicBool,
    /// Told of every poll that never comes.
    given_up: Notify,
}

impl Clock for Polls {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration < Duration::from_millis(400) || self.are_on.load(Ordering::SeqCst) {
            return self.clock.sleep(duration);
        }
        self.given_up.notify_one();
        Box::pin(std::future::pending())
    }
}

struct World {
    _watchdog: Watchdog,
    _issuer: Issuer,
    realm: Realm,
    folder: TempDir,
    polls: Arc<Polls>,
}

/// A manager that is followed by its events.
struct Follower {
    manager: AuthManager,
    events: Events,
    _following: FollowStore,
}

impl World {
    /// A world in which account `acct-a` is signed in.
    fn new() -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let realm = issuer.realm("");
        let folder = tempfile::tempdir().expect("a folder");
        let polls = Arc::default();
        let watchdog = Watchdog::over("following");
        let world = Self { _watchdog: watchdog, _issuer: issuer, realm, folder, polls };
        fs::create_dir(world.home()).expect("a home");
        fs::write(world.auth_json(), world.login("a")).expect("written");
        world
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn auth_json(&self) -> PathBuf {
        self.home().join("auth.json")
    }

    fn login(&self, name: &str) -> String {
        let login = self.realm.call("login", &json!({"name": name}));
        login["text"].as_str().expect("a record").to_owned()
    }

    async fn manager(&self, environment: Environment) -> AuthManager {
        let storage = Arc::new(FileStorage::new(self.home(), environment.clone()));
        let builder = AuthManager::builder().storage(storage).environment(environment);
        let builder = builder.token_url(format!("{}/oauth/token", self.realm.url()));
        builder.build().await.expect("a manager")
    }

    /// A manager that follows the store, and is waiting for it to change.
    async fn follower(&self) -> Follower {
        let mut environment = Environment::default();
        environment.clock = Arc::clone(&self.polls) as Arc<dyn Clock>;
        let manager = self.manager(environment).await;
        let events = manager.subscribe();
        let following = manager.follow_store();
        self.polls.given_up.notified().await;
        Follower { manager, events, _following: following }
    }
}

impl Follower {
    /// Waits until what was done `since` then is told as `kind`, and says how long that took.
    #[expect(clippy::print_stdout, reason = "a figure")]
    async fn is_told(&mut self, kind: &str, since: Instant) {
        let event = self.events.next().await.expect("an event");
        println!("{kind}: {:?}", since.elapsed());
        assert_eq!(event.kind(), kind);
    }
}

fn put_by_rename(path: &Path, text: &str) {
    let temp = path.with_extension("new");
    fs::write(&temp, text).expect("written");
    fs::rename(temp, path).expect("renamed");
}

#[tokio::test]
async fn what_others_write_is_adopted_at_once() {
    let world = World::new();
    let mut follower = world.follower().await;
    let other = world.manager(Environment::default()).await;

    let auth = other.auth().expect("signed in");
    let fresh = other.refresh_token(&auth).await.expect("refreshed").expect("signed in");
    follower.is_told("adopted", Instant::now()).await;
    let adopted = follower.manager.auth().expect("signed in");
    assert_eq!(adopted.access_token(), fresh.access_token());

    let start = Instant::now();
    fs::remove_file(world.auth_json()).expect("removed");
    follower.is_told("logged_out", start).await;
    assert!(follower.manager.auth().is_none());

    let (by_write, by_rename) = (world.login("b"), world.login("c"));
    let start = Instant::now();
    fs::write(world.auth_json(), by_write).expect("written");
    follower.is_told("identity_changed", start).await;
    assert_eq!(follower.manager.auth().expect("signed in").account_id(), Some("acct-b"));

    let start = Instant::now();
    put_by_rename(&world.auth_json(), &by_rename);
    follower.is_told("identity_changed", start).await;
    assert_eq!(follower.manager.auth().expect("signed in").account_id(), Some("acct-c"));
}

#[tokio::test]
async fn the_folder_that_a_link_leads_to_is_watched() {
    let world = World::new();
    let real = world.folder.path().join("real");
    fs::create_dir(&real).expect("a folder");
    let real = real.join("login.json");
    fs::rename(world.auth_json(), &real).expect("moved");
    symlink(&real, world.auth_json()).expect("a link");
    let mut follower = world.follower().await;
    let text = world.login("b");
    let start = Instant::now();
    put_by_rename(&real, &text);
    follower.is_told("identity_changed", start).await;
}

#[tokio::test]
async fn a_folder_that_vanishes_is_watched_again_when_it_is_back() {
    let world = World::new();
    let mut follower = world.follower().await;
    world.polls.are_on.store(true, Ordering::SeqCst);
    fs::remove_dir_all(world.home()).expect("removed");
    fs::create_dir(world.home()).expect("a home");
    put_by_rename(&world.auth_json(), &world.login("b"));
    while follower.events.next().await.expect("an event").kind() != "identity_changed" {}
    world.polls.are_on.store(false, Ordering::SeqCst);
    world.polls.given_up.notified().await;
    let text = world.login("c");
    let start = Instant::now();
    put_by_rename(&world.auth_json(), &text);
    follower.is_told("identity_changed", start).await;
}
