//! Logins that another program switches by moving a link, to the file or to its folder, while the
//! refresh of one of them is under way.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::events::kinds;
use super::spans::Collector;
use super::world::World;
use super::{RETRY, recover, refresh_token, start_recovery};
use crate::auth_dot_json::AuthDotJson;
use crate::storage::FileStorage;
use crate::{AuthManager, GiveUpReason, UnauthorizedRecoveryDecision};

const MISMATCH: UnauthorizedRecoveryDecision =
    UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch);

/// Where the link is, and where it leads to for the logins A and B.
#[derive(Debug, Clone, Copy)]
struct Layout {
    link: &'static str,
    to: [&'static str; 2],
    files: [&'static str; 2],
}

const LAYOUTS: [Layout; 3] = [
    Layout {
        link: "home/auth.json",
        to: ["a/auth.json", "b/auth.json"],
        files: ["a/auth.json", "b/auth.json"],
    },
    Layout {
        link: "home/auth.json",
        to: ["accounts/a.json", "accounts/b.json"],
        files: ["accounts/a.json", "accounts/b.json"],
    },
    // The folder of the login is a link itself.
    Layout { link: "home", to: ["a", "b"], files: ["a/auth.json", "b/auth.json"] },
];

const A: usize = 0;
const B: usize = 1;

/// Two logins in files of their own, and a home that leads to one of them.
struct Place {
    world: World,
    folder: TempDir,
    layout: Layout,
}

impl Place {
    /// One that leads to A.
    fn new(layout: Layout) -> Self {
        let place =
            Self { world: World::new(), folder: tempfile::tempdir().expect("a folder"), layout };
        for (file, account) in layout.files.into_iter().zip(["acct-a", "acct-b"]) {
            place.write(file, &place.world.issuer.login(account));
        }
        let link = place.at(layout.link);
        fs::create_dir_all(link.parent().expect("a folder")).expect("made");
        place.lead_to(A);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, login: usize) -> PathBuf {
        self.at(self.layout.files[login])
    }

    fn write(&self, name: &str, record: &AuthDotJson) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, record.to_json().expose()).expect("written");
    }

    fn lead_to(&self, login: usize) {
        self.link_to(self.layout.to[login]);
    }

    /// Moves the link, as `ln -sfn` does.
    fn link_to(&self, name: &str) {
        let (link, new) = (self.at(self.layout.link), self.at("new"));
        symlink(self.at(name), &new).expect("linked");
        fs::rename(new, link).expect("renamed");
    }

    fn text(&self, login: usize) -> String {
        fs::read_to_string(self.file(login)).expect("there")
    }

    /// The refresh token in the file of `login`.
    fn token(&self, login: usize) -> String {
        let record = AuthDotJson::parse(self.text(login).as_bytes()).expect("a record");
        record.tokens.expect("tokens").refresh_token.expose().to_owned()
    }

    async fn manager(&self) -> AuthManager {
        let store = FileStorage::new(self.at("home"), self.world.environment.clone());
        self.world.builder().storage(Arc::new(store)).build().await.expect("a manager")
    }

    /// Lets a request be sent that is not answered yet.
    async fn send(&self) {
        self.world.pass(Duration::from_millis(50)).await;
    }

    /// Takes the lock under which the file of `login` is saved, as another program.
    fn lock(&self, login: usize) -> File {
        let lock = self.file(login).with_extension("json.lock");
        let lock = File::options().write(true).create(true).truncate(false).open(lock);
        let lock = lock.expect("a lock file");
        lock.try_lock().expect("free");
        lock
    }
}

fn account(manager: &AuthManager) -> Option<String> {
    manager.auth()?.account_id().map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn g4_a_pair_goes_to_the_file_that_it_came_from_where_a_link_was_moved_meanwhile() {
    for layout in LAYOUTS {
        let place = Place::new(layout);
        let manager = place.manager().await;
        let mut events = manager.subscribe();
        let (auth, other) = (manager.auth().expect("signed in"), place.text(B));
        let task = start_recovery(&manager, &auth);
        place.send().await;
        place.lead_to(B);
        assert_eq!(task.await.expect("no panic").expect("an outcome"), MISMATCH, "{layout:?}");
        assert_eq!(account(&manager).as_deref(), Some("acct-b"), "the snapshot follows the link");
        assert_eq!(kinds(&mut events).await, ["identity_changed"]);
        assert_ne!(place.token(A), refresh_token(&auth));
        assert!(place.world.issuer.is_live(&place.token(A)), "{layout:?}");
        assert_eq!(place.text(B), other);
        assert!(!manager.pending_save());
        place.lead_to(A);
        let newcomer = place.manager().await;
        let auth = newcomer.auth().expect("signed in");
        assert_eq!(recover(&newcomer, &auth).await.expect("recovered"), RETRY);
        assert_eq!(place.world.issuer.requests(), (2, 2), "{layout:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_moved_away_and_back_is_no_matter() {
    for layout in LAYOUTS {
        let place = Place::new(layout);
        let manager = place.manager().await;
        let mut events = manager.subscribe();
        let auth = manager.auth().expect("signed in");
        let task = start_recovery(&manager, &auth);
        place.send().await;
        place.lead_to(B);
        place.lead_to(A);
        assert_eq!(task.await.expect("no panic").expect("recovered"), RETRY);
        assert_eq!(refresh_token(&manager.auth().expect("signed in")), place.token(A));
        assert_eq!(kinds(&mut events).await, ["refreshed"], "{layout:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn g3_a_file_that_is_gone_is_not_made_anew_for_a_pair_and_that_is_said() {
    for layout in LAYOUTS {
        for with_folder in [false, true] {
            let (said, _guard) = Collector::start();
            let place = Place::new(layout);
            let manager = place.manager().await;
            let auth = manager.auth().expect("signed in");
            place.send().await;
            let other = place.text(B);
            let task = start_recovery(&manager, &auth);
            place.send().await;
            place.lead_to(B);
            fs::remove_file(place.file(A)).expect("removed");
            let folder = place.file(A).parent().expect("a folder").to_owned();
            if with_folder && folder != place.file(B).parent().expect("a folder") {
                fs::remove_dir_all(folder).expect("removed");
            }
            assert_eq!(task.await.expect("no panic").expect("an outcome"), MISMATCH);
            assert!(!place.file(A).exists() && !manager.pending_save(), "{layout:?}");
            assert_eq!(place.text(B), other);
            assert!(said.text().contains("new tokens are not saved"), "{}", said.text());
            let auth = manager.auth().expect("signed in");
            assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY, "{layout:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_pair_that_waits_for_its_save_goes_where_it_came_from_whenever_the_link_is_moved() {
    for (layout, is_moved_before) in LAYOUTS.into_iter().flat_map(|to| [(to, true), (to, false)]) {
        let place = Place::new(layout);
        let manager = place.manager().await;
        let (auth, other) = (manager.auth().expect("signed in"), place.text(B));
        let task = start_recovery(&manager, &auth);
        place.send().await;
        let lock = place.lock(A);
        if is_moved_before {
            place.lead_to(B);
        }
        let decision = task.await.expect("no panic").expect("an outcome");
        assert_eq!(decision, if is_moved_before { MISMATCH } else { RETRY });
        assert!(manager.pending_save(), "{layout:?}");
        place.lead_to(B);
        manager.reload().await.expect("read");
        let switched = manager.auth().expect("signed in");
        assert_eq!(switched.account_id(), Some("acct-b"));
        let error = recover(&manager, &switched).await.expect_err("one pair at a time");
        assert_eq!(error.code(), "lock_timeout");
        assert_eq!(place.world.issuer.requests(), (1, 1), "{layout:?}");
        drop(lock);
        assert_eq!(recover(&manager, &switched).await.expect("recovered"), RETRY);
        assert!(!manager.pending_save());
        assert!(place.world.issuer.is_live(&place.token(A)), "{layout:?}");
        assert_ne!(place.text(B), other, "and B was refreshed with a lock of its own");
        assert_eq!(place.world.issuer.requests(), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_plain_file_that_becomes_a_link_keeps_its_login() {
    let place = Place::new(LAYOUTS[1]);
    let (home, kept) = (place.at("home/auth.json"), place.file(A));
    fs::rename(&kept, &home).expect("moved");
    let manager = place.manager().await;
    let auth = manager.auth().expect("signed in");
    let task = start_recovery(&manager, &auth);
    place.send().await;
    fs::rename(&home, &kept).expect("moved");
    place.lead_to(A);
    assert_eq!(task.await.expect("no panic").expect("recovered"), RETRY);
    assert!(home.symlink_metadata().expect("there").is_symlink());
    assert!(place.world.issuer.is_live(&place.token(A)));
}

#[tokio::test(start_paused = true)]
async fn g4_a_plain_file_that_gives_way_to_a_link_elsewhere_gets_its_pair_when_it_is_back() {
    let (said, _guard) = Collector::start();
    let place = Place::new(LAYOUTS[1]);
    let (home, kept) = (place.at("home/auth.json"), place.file(A));
    fs::rename(&kept, &home).expect("moved");
    let manager = place.manager().await;
    let (auth, other) = (manager.auth().expect("signed in"), place.text(B));
    let task = start_recovery(&manager, &auth);
    place.send().await;
    fs::rename(&home, &kept).expect("moved");
    place.lead_to(B);
    assert_eq!(task.await.expect("no panic").expect("an outcome"), MISMATCH);
    assert_eq!((place.token(A).as_str(), place.text(B)), (refresh_token(&auth), other));
    assert!(said.text().contains("new tokens are not saved"), "{}", said.text());
    place.lead_to(A);
    manager.sync_from_storage(&auth).await.expect("read");
    assert!(manager.close(Duration::from_secs(60)).await);
    assert!(place.world.issuer.is_live(&place.token(A)));
    assert_eq!(place.world.issuer.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_the_link_leads_to_by_now_gets_the_pair_too() {
    for layout in LAYOUTS {
        let place = Place::new(layout);
        let manager = place.manager().await;
        let auth = manager.auth().expect("signed in");
        let task = start_recovery(&manager, &auth);
        place.send().await;
        fs::copy(place.file(A), place.file(B)).expect("copied");
        place.lead_to(B);
        assert_eq!(task.await.expect("no panic").expect("recovered"), RETRY, "{layout:?}");
        assert!(place.world.issuer.is_live(&place.token(A)), "{layout:?}");
        assert_eq!(place.token(A), place.token(B));
    }
}
