//! The folder of a login: one that is not there yet, is reached by a link, is moved, or is shared,
//! for every store that has something in it.
#![cfg(unix)]

use std::fs::File;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{
    AuthDotJson, AuthStorage, AutoStorage, EncryptedStorage, FileStorage, Keyring, KeyringItem,
    KeyringStorage, Swap,
};
use codex_auth_sdk::{AuthManager, Secret};
use codex_auth_tests::memory_keyring::MemoryKeyring;
use tempfile::TempDir;

/// A folder that is also reached by a link, with a home in it that is not there yet.
struct Place {
    folder: TempDir,
    keyring: Arc<MemoryKeyring>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("real")).expect("made");
        symlink("real", folder.path().join("link")).expect("linked");
        Self { folder, keyring: Arc::default() }
    }

    /// The home, by its real path.
    fn real(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("there").join("real/.codex")
    }

    fn by_link(&self) -> PathBuf {
        self.folder.path().join("link/.codex")
    }

    /// The way from the working directory.
    fn relative(&self) -> PathBuf {
        let here = std::env::current_dir().expect("there").canonicalize().expect("there");
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        up.join(self.real().strip_prefix("/").expect("absolute"))
    }

    /// Every kind of store in the home at `path`.
    fn stores(&self, path: &Path) -> [Arc<dyn AuthStorage>; 5] {
        let environment = Environment::default;
        let keyring = || Arc::clone(&self.keyring) as Arc<dyn Keyring>;
        let encrypted =
            || EncryptedStorage::new(path, keyring(), environment()).with_work_factor(2);
        [
            Arc::new(FileStorage::new(path, environment())),
            Arc::new(KeyringStorage::new(path, keyring(), environment())),
            Arc::new(AutoStorage::new(path, keyring(), environment())),
            Arc::new(encrypted()),
            Arc::new(AutoStorage::encrypted(encrypted())),
        ]
    }
}

fn file_store(home: &Path) -> FileStorage {
    FileStorage::new(home, Environment::default())
}

/// Takes a lock on the file at `path` as other programs do, if it is free.
fn lock(path: &Path) -> Option<File> {
    let file = File::open(path).expect("there");
    file.try_lock().is_ok().then_some(file)
}

/// A home with a record in it, which holds no login.
fn home_with_record() -> (Place, PathBuf) {
    let place = Place::new();
    std::fs::create_dir(place.real()).expect("made");
    let auth_json = place.real().join("auth.json");
    std::fs::write(&auth_json, "{}").expect("written");
    (place, auth_json)
}

/// Puts another file in the place of the one at `path`, as other programs do.
fn replace(path: &Path) -> PathBuf {
    let new = path.with_extension("new");
    std::fs::write(&new, "{}").expect("written");
    std::fs::rename(&new, path).expect("renamed");
    path.to_owned()
}

async fn is_locked(store: &dyn AuthStorage) -> bool {
    store.try_lock().await.expect("no error").is_none()
}

fn api_key(manager: &AuthManager) -> Option<String> {
    manager.auth().and_then(|auth| auth.access_token().map(|key| key.expose().to_owned()))
}

#[tokio::test]
async fn a_first_login_makes_the_folder_for_its_owner_and_a_look_does_not() {
    for kind in 0..5 {
        let place = Place::new();
        let open = || {
            let store = Arc::clone(&place.stores(&place.by_link())[kind]);
            AuthManager::builder().storage(store).build()
        };
        let manager = open().await.expect("nobody is signed in");
        manager.reload().await.expect("read");
        assert!(manager.auth().is_none() && !place.real().exists(), "kind {kind}");
        manager.login_with_api_key(&Secret::new("sk-first")).await.expect("signed in");
        let mode = place.real().metadata().expect("made").mode();
        assert_eq!(mode & 0o777, 0o700, "kind {kind}");
        let other = open().await.expect("a login");
        assert_eq!(api_key(&other).as_deref(), Some("sk-first"), "kind {kind}");
    }
}

#[tokio::test]
async fn readiness_for_a_first_login_is_proved_where_the_login_will_be() {
    for kind in 0..5 {
        let place = Place::new();
        drop(place.stores(&place.by_link())[kind].ready(100).await.expect("ready"));
        assert!(place.real().is_dir(), "kind {kind}");
    }
}

#[tokio::test]
async fn a_folder_that_was_there_and_is_gone_is_not_made_anew() {
    let place = Place::new();
    std::fs::create_dir(place.real()).expect("made");
    let manager = AuthManager::builder().storage(Arc::new(file_store(&place.real()))).build();
    let manager = manager.await.expect("nobody is signed in");
    std::fs::remove_dir(place.real()).expect("removed");
    let error = manager
        .login_with_api_key(&Secret::new("sk"))
        .await
        .expect_err("a volume that is away, maybe");
    assert_eq!(error.code(), "save_failed");
    assert!(error.to_string().contains("is gone") && !place.real().exists(), "{error}");
}

#[tokio::test]
async fn g6_a_folder_that_is_gone_is_no_logout() {
    let place = Place::new();
    std::fs::create_dir(place.real()).expect("made");
    let auth_json = place.real().join("auth.json");
    std::fs::write(auth_json, r#"{"OPENAI_API_KEY": "sk"}"#).expect("signed in");
    let manager = AuthManager::builder().storage(Arc::new(file_store(&place.real()))).build();
    let manager = manager.await.expect("a manager");
    std::fs::rename(place.real(), place.real().with_extension("away")).expect("moved");
    let error = manager.reload().await.expect_err("a volume that is away, maybe");
    assert_eq!(error.code(), "store_unavailable");
    assert!(manager.auth().is_some());
}

#[tokio::test]
async fn a_store_that_is_older_than_its_folder_takes_the_refresh_lock_once() {
    for path in [Place::by_link, Place::relative, Place::real] {
        let place = Place::new();
        let path = path(&place);
        let stores = place.stores(&path);
        std::fs::create_dir(place.real()).expect("made");
        for store in stores {
            let held = store.try_lock().await.expect("no error");
            let held = held.unwrap_or_else(|| panic!("{path:?} is held by {store:?} itself"));
            held.check().expect("held");
            assert!(is_locked(&file_store(&place.real())).await, "others see it");
            assert!(is_locked(&file_store(&place.by_link())).await, "others see it");
        }
    }
}

#[tokio::test]
async fn the_item_of_a_folder_is_named_after_where_the_folder_is() {
    let place = Place::new();
    let store = KeyringStorage::new(
        place.by_link(),
        Arc::clone(&place.keyring) as _,
        Environment::default(),
    );
    let manager = AuthManager::builder().storage(Arc::new(store.clone())).build().await;
    let manager = manager.expect("nobody is signed in");
    manager.login_with_api_key(&Secret::new("sk-first")).await.expect("signed in");
    let item = KeyringItem::login(&place.real());
    assert_eq!(store.item().to_string(), item.to_string());
    assert!(place.keyring.peek(&item).is_some(), "where the Codex CLI looks for it");
}

#[tokio::test]
async fn a_folder_that_is_linked_to_somewhere_else_is_followed_and_its_lock_is_lost() {
    let place = Place::new();
    let [one, other] = ["one", "other"].map(|name| place.folder.path().join(name));
    let home = place.folder.path().join("home");
    for (folder, key) in [(&one, "sk-one"), (&other, "sk-other")] {
        std::fs::create_dir(folder).expect("made");
        let record = format!("{{\"OPENAI_API_KEY\": \"{key}\"}}");
        std::fs::write(folder.join("auth.json"), record).expect("written");
    }
    symlink(&one, &home).expect("linked");
    let store = Arc::new(file_store(&home));
    let manager = AuthManager::builder().codex_home(&home).build().await.expect("a login");
    assert_eq!(api_key(&manager).as_deref(), Some("sk-one"));
    let held = store.try_lock().await.expect("no error").expect("free");
    std::fs::remove_file(&home).expect("removed");
    symlink(&other, &home).expect("linked");
    assert_eq!(held.check().expect_err("another folder's").code(), "store_unavailable");
    manager.reload().await.expect("read");
    assert_eq!(api_key(&manager).as_deref(), Some("sk-other"));
    let _held = store.try_lock().await.expect("no error").expect("the other folder's is free");
    assert!(is_locked(&file_store(&other)).await && is_locked(&file_store(&one)).await);
}

#[tokio::test]
async fn a_record_that_is_linked_to_somewhere_else_takes_the_lock_away() {
    let place = Place::new();
    std::fs::create_dir(place.real()).expect("made");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let store = file_store(&place.real());
    let held = store.try_lock().await.expect("no error").expect("free");
    symlink(elsewhere.path().join("auth.json"), store.path()).expect("linked");
    let error = held.check().expect_err("others lock more");
    assert_eq!(error.code(), "store_unavailable");
}

#[tokio::test]
async fn what_a_link_led_to_is_found_and_written_after_the_link_was_moved() {
    let record = |key: &str| {
        let text = format!("{{\"OPENAI_API_KEY\": \"{key}\"}}");
        Some(Arc::new(AuthDotJson::parse(text.as_bytes()).expect("a record")))
    };
    for kind in 0..5 {
        let place = Place::new();
        let lead_to = |name: &str| {
            let (home, folder) = (place.by_link(), place.folder.path().join(name));
            std::fs::create_dir_all(&folder).expect("made");
            std::fs::remove_file(&home).unwrap_or_default();
            symlink(folder, home).expect("linked");
        };
        lead_to("one");
        let store = Arc::clone(&place.stores(&place.by_link())[kind]);
        let put = async |store: &dyn AuthStorage, key| {
            let version = store.load().await.expect("read").version;
            let record = record(key).expect("a record");
            assert_eq!(store.commit(&version, &record).await.expect("saved"), Swap::Done);
        };
        put(&*store, "sk-one").await;
        let one = store.resolved().await.expect("found").expect("links lead there");
        lead_to("other");
        assert_eq!(one.load().await.expect("read").record, record("sk-one"), "kind {kind}");
        let other = store.resolved().await.expect("found").expect("links lead there");
        assert_ne!(one.location(), other.location(), "kind {kind}");
        put(&*one, "sk-newer").await;
        assert_eq!(store.load().await.expect("read").record, None, "kind {kind}");
        lead_to("one");
        assert_eq!(store.load().await.expect("read").record, record("sk-newer"), "kind {kind}");
        let again = store.resolved().await.expect("found").expect("links lead there");
        assert_eq!(one.location(), again.location(), "kind {kind}");
    }
}

#[tokio::test]
async fn what_the_holder_of_the_refresh_lock_has_prepared_is_left_to_it() {
    let place = Place::new();
    std::fs::create_dir(place.real()).expect("made");
    let [holder, other] = [(); 2].map(|()| file_store(&place.real()));
    let temp_files = || {
        let names = std::fs::read_dir(place.real()).expect("listed").flatten();
        names.filter(|entry| entry.path().extension() == Some("tmp".as_ref())).count()
    };
    let _held = holder.try_lock().await.expect("no error").expect("free");
    let _ready = holder.ready(100).await.expect("ready");
    assert_eq!(temp_files(), 1);
    drop(other.ready(100).await.expect("a login may be saved without that lock"));
    assert_eq!(temp_files(), 1, "the place for a pair that is about to be granted");
}

#[tokio::test]
async fn the_ledger_is_a_private_file_of_its_own_beside_the_record() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(place.real()).expect("made");
    symlink(elsewhere.path().join("auth.json"), place.real().join("auth.json")).expect("linked");
    let held = file_store(&place.real()).try_lock().await.expect("no error").expect("free");
    held.set_ledger(&held.ledger()).await.expect("written");
    let ledger = elsewhere.path().join(".codex-auth-sdk.json").metadata().expect("there");
    assert!(ledger.len() > 0 && ledger.mode() & 0o777 == 0o600);
    for folder in [place.real(), elsewhere.path().to_owned()] {
        let lock = folder.join(".codex-auth-sdk.lock").metadata().expect("there");
        assert_eq!(lock.len(), 0, "what is locked cannot be read on Windows");
    }
    assert!(!place.real().join(".codex-auth-sdk.json").exists());
}

#[tokio::test]
async fn the_record_is_locked_too_where_a_login_may_be_in_it() {
    for (kind, is_in_file) in [true, false, true, false, true].into_iter().enumerate() {
        let (place, auth_json) = home_with_record();
        let store = &place.stores(&place.real())[kind];
        let held = store.try_lock().await.expect("no error").expect("free");
        assert_eq!(lock(&auth_json).is_none(), is_in_file, "kind {kind}");
        drop(held);
        let other = lock(&auth_json).expect("given back");
        assert_eq!(is_locked(&**store).await, is_in_file, "kind {kind}");
        drop(other);
        assert!(!is_locked(&**store).await, "kind {kind}");
    }
}

#[tokio::test]
async fn homes_that_have_nothing_but_the_record_in_common_exclude_each_other() {
    let (places, records): (Vec<_>, Vec<_>) =
        [(); 2].map(|()| home_with_record()).into_iter().unzip();
    std::fs::remove_file(&records[1]).expect("removed");
    // As where containers mount one file.
    std::fs::hard_link(&records[0], &records[1]).expect("linked");
    let [one, other] = [0, 1].map(|place| file_store(&places[place].real()));
    let held = one.try_lock().await.expect("no error").expect("free");
    assert!(is_locked(&other).await);
    drop(held);
    assert!(!is_locked(&other).await);
}

#[tokio::test]
async fn a_record_that_was_replaced_is_locked_in_its_new_place() {
    let (place, auth_json) = home_with_record();
    let store = file_store(&place.real());
    let waited_for = lock(&auth_json).expect("free");
    assert!(is_locked(&store).await);
    replace(&auth_json);
    let held = store.try_lock().await.expect("no error").expect("the new one is free");
    assert!(lock(&auth_json).is_none());
    drop(waited_for);
    replace(&auth_json);
    held.check().expect("it follows");
    assert!(lock(&auth_json).is_none());
    std::fs::remove_file(&auth_json).expect("removed");
    held.check().expect("there is nothing to lock");
    std::fs::write(&auth_json, "{}").expect("written");
    held.check().expect("it follows");
    assert!(lock(&auth_json).is_none());
}

#[tokio::test]
async fn a_record_that_was_replaced_by_one_that_is_locked_takes_the_lock_away() {
    let (place, auth_json) = home_with_record();
    let store = file_store(&place.real());
    let held = store.try_lock().await.expect("no error").expect("free");
    let _other = lock(&replace(&auth_json)).expect("it is another file");
    let error = held.check().expect_err("another program may redeem what is in it");
    assert_eq!(error.code(), "store_unavailable");
    assert!(error.to_string().contains("auth.json"), "{error}");
}

#[tokio::test]
async fn a_save_by_the_holder_of_the_lock_leaves_it_the_lock() {
    let (place, auth_json) = home_with_record();
    let store = file_store(&place.real());
    let held = store.try_lock().await.expect("no error").expect("free");
    let _ready = store.ready(100).await.expect("ready");
    let before = auth_json.metadata().expect("there").ino();
    let version = store.load().await.expect("read").version;
    let record = AuthDotJson::parse(b"{\"OPENAI_API_KEY\": \"sk\"}").expect("a record");
    assert_eq!(store.commit(&version, &record).await.expect("saved"), Swap::Done);
    assert_ne!(auth_json.metadata().expect("there").ino(), before, "it was replaced");
    held.check().expect("held");
    assert!(lock(&auth_json).is_none());
}
