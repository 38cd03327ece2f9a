//! What only Windows does: other programs keep files to themselves, and the system writes paths in
//! its own way.

#![cfg(windows)]

use std::fs::{File, OpenOptions};
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, FileStorage, Swap};
use codex_auth_sdk::{AuthManager, Error, Secret};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::watchdog::Watchdog;
use serde_json::json;
use tempfile::TempDir;

const FILE_SHARE_READ: u32 = 1;
const FILE_SHARE_WRITE: u32 = 2;
const FILE_ATTRIBUTE_TEMPORARY: u32 = 0x100;

/// A login in a folder, and its issuer.
struct Scene {
    _watchdog: Watchdog,
    _issuer: Issuer,
    realm: Realm,
    home: TempDir,
}

impl Scene {
    fn new() -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let realm = issuer.realm("");
        let login = realm.call("login", &json!({"name": "a"}));
        let home = tempfile::tempdir().expect("a folder");
        let scene = Self { _watchdog: Watchdog::over("a scene"), _issuer: issuer, realm, home };
        let text = login["text"].as_str().expect("a record");
        std::fs::write(scene.auth_json(), text).expect("written");
        scene
    }

    fn auth_json(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    async fn manager(&self) -> AuthManager {
        let url = format!("{}/oauth/token", self.realm.url());
        let manager = AuthManager::builder().codex_home(self.home.path()).token_url(url);
        manager.build().await.expect("a manager")
    }
}

/// Opens the file at `path` as a program does that shares it as `sharing` says.
fn hold(path: &Path, sharing: u32) -> File {
    OpenOptions::new().read(true).share_mode(sharing).open(path).expect("opened")
}

/// Opens it as [`hold`] does, and lets it go as soon as another program may have looked once.
fn hold_for_a_moment(path: &Path, sharing: u32) {
    let file = hold(path, sharing);
    let (held, is_held) = mpsc::channel();
    drop(std::thread::spawn(move || {
        held.send(()).expect("a listener");
        // Nothing tells a program that another one was refused a file.
        std::thread::park_timeout(std::time::Duration::from_millis(30));
        drop(file);
    }));
    is_held.recv().expect("held");
}

fn assert_held_open(error: &Error) {
    assert_eq!((error.code(), error.reason()), ("store_unavailable", Some("held_open")));
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(text.contains("auth.json") && text.contains("has it open"), "{text}");
    assert!(!text.contains(r"\\?\"), "{text}");
}

#[tokio::test]
async fn g6_a_login_that_a_scanner_has_for_a_moment_is_read_and_replaced() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    hold_for_a_moment(&scene.auth_json(), 0);
    manager.reload().await.expect("read");
    let auth = manager.auth().expect("signed in");
    hold_for_a_moment(&scene.auth_json(), FILE_SHARE_READ);
    manager.refresh_token(&auth).await.expect("refreshed").expect("a snapshot");
    assert!(!manager.pending_save());
    hold_for_a_moment(&scene.auth_json(), 0);
    manager.login_with_api_key(&Secret::new("sk-new")).await.expect("signed in");
}

#[tokio::test]
async fn g5_a_login_that_another_program_keeps_is_a_transient_error_and_costs_no_token() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let auth = manager.auth().expect("signed in");
    for sharing in [0, FILE_SHARE_READ] {
        let held = hold(&scene.auth_json(), sharing);
        if sharing == 0 {
            assert_held_open(&manager.reload().await.expect_err("it cannot be read"));
        }
        let error = manager.refresh_token(&auth).await.expect_err("it cannot be written");
        assert_held_open(&error);
        drop(held);
    }
    assert_eq!(scene.realm.stats()["requests"], 0);
    manager.refresh_token(&auth).await.expect("refreshed").expect("a snapshot");
}

#[tokio::test]
async fn g4_a_reader_that_does_not_share_removal_does_not_keep_a_pair_from_the_store() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let auth = manager.auth().expect("signed in");
    let _held = hold(&scene.auth_json(), FILE_SHARE_READ | FILE_SHARE_WRITE);
    manager.refresh_token(&auth).await.expect("refreshed").expect("a snapshot");
    assert!(!manager.pending_save());
    let text = std::fs::read_to_string(scene.auth_json()).expect("a record");
    let stored = scene.realm.call("inspect", &json!({"text": text}));
    assert_eq!(stored["record"]["tokens"]["refresh_token"], "refresh:a1");
}

#[tokio::test]
async fn g7_what_is_stored_is_no_temporary_file_to_the_system() {
    let home = tempfile::tempdir().expect("a folder");
    let store = FileStorage::new(home.path(), Environment::default());
    let record = AuthDotJson::parse(br#"{"OPENAI_API_KEY": "sk"}"#).expect("a record");
    let version = store.load().await.expect("read").version;
    assert_eq!(store.commit(&version, &record).await.expect("written"), Swap::Done);
    let lock = store.try_lock().await.expect("a lock").expect("free");
    lock.set_ledger(&lock.ledger()).await.expect("written");
    for name in ["auth.json", ".codex-auth-sdk.json"] {
        let found = home.path().join(name).metadata().expect("there");
        assert_eq!(found.file_attributes() & FILE_ATTRIBUTE_TEMPORARY, 0, "{name}");
    }
}

#[tokio::test]
async fn a_home_that_appears_later_is_signed_in_to_refreshed_and_locked_by_one_name() {
    let scene = Scene::new();
    let home = scene.home.path().join("user").join(".codex");
    std::fs::create_dir(home.parent().expect("a folder")).expect("made");
    let url = format!("{}/oauth/token", scene.realm.url());
    let open = || {
        let store = Arc::new(FileStorage::new(&home, Environment::default()));
        AuthManager::builder().storage(store).token_url(url.clone()).build()
    };
    let manager = open().await.expect("nobody is signed in");
    manager.login_with_api_key(&Secret::new("sk-first")).await.expect("the folder is made");
    std::fs::copy(scene.auth_json(), home.join("auth.json")).expect("another program signs in");
    manager.reload().await.expect("read");
    let auth = manager.auth().expect("signed in");
    manager.refresh_token(&auth).await.expect("no lock is in its own way").expect("a snapshot");
    let description = open().await.expect("a manager").describe().await.to_string();
    assert!(description.contains("auth.json") && !description.contains(r"\\?\"), "{description}");
}
