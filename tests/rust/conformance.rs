//! One suite for every store.

#[cfg(unix)]
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use codex_auth_sdk::environment::Environment;
#[cfg(unix)]
use codex_auth_sdk::storage::{AuthDotJson, Swap};
use codex_auth_sdk::storage::{AuthStorage, EphemeralStorage, FileStorage, conformance};

fn file_store(home: &Path) -> Arc<dyn AuthStorage> {
    Arc::new(FileStorage::new(home, Environment::default()))
}

#[cfg(unix)]
fn record(key: &str) -> AuthDotJson {
    AuthDotJson::parse(format!(r#"{{"OPENAI_API_KEY": "{key}"}}"#).as_bytes()).expect("a record")
}

#[cfg(unix)]
async fn put(store: &dyn AuthStorage, key: &str) {
    let version = store.load().await.expect("loads").version;
    assert_eq!(store.commit(&version, &record(key)).await.expect("commits"), Swap::Done);
}

#[tokio::test]
async fn a_file_conforms() {
    let home = tempfile::tempdir().expect("a folder");
    conformance::run(|| file_store(home.path())).await;
    let mut left: Vec<_> = std::fs::read_dir(home.path())
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    left.sort();
    assert_eq!(
        left,
        [".codex-auth-sdk.json", ".codex-auth-sdk.lock", "auth.json.lock", "auth.lock"],
        "no temp file is left"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_linked_file_conforms_and_stays_a_link() {
    let home = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let link = home.path().join("auth.json");
    symlink(elsewhere.path().join("real.json"), &link).expect("linked");
    conformance::run(|| file_store(home.path())).await;
    put(&*file_store(home.path()), "linked").await;
    assert!(link.symlink_metadata().expect("there").is_symlink());
    assert!(elsewhere.path().join("real.json").exists());
    assert!(
        elsewhere.path().join("real.json.lock").exists(),
        "the CLI's second lock is beside the target"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn homes_that_share_a_file_share_its_refresh_lock() {
    let [own, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    std::fs::write(own.path().join("auth.json"), "{}").expect("written");
    symlink(own.path().join("auth.json"), other.path().join("auth.json")).expect("linked");
    let held = file_store(other.path()).try_lock().await.expect("a lock").expect("free");
    assert!(file_store(own.path()).try_lock().await.expect("no error").is_none());
    drop(held);
    let _held = file_store(own.path()).try_lock().await.expect("a lock").expect("free again");
    assert!(file_store(other.path()).try_lock().await.expect("no error").is_none());
}

#[tokio::test]
async fn memory_conforms() {
    let store = EphemeralStorage::default();
    conformance::run(|| Arc::new(store.clone())).await;
}

#[tokio::test]
async fn g8_what_a_killed_program_left_is_cleaned_up() {
    let home = tempfile::tempdir().expect("a folder");
    let [left, foreign] =
        [".codex-auth-sdk-4711ab.tmp", ".auth-4711ab"].map(|name| home.path().join(name));
    for path in [&left, &foreign] {
        std::fs::write(path, "half a login").expect("written");
    }
    let store = file_store(home.path());
    drop(store.ready(100).await.expect("ready"));
    assert!(left.exists(), "the holder of the refresh lock may need it");
    let _held = store.try_lock().await.expect("a lock").expect("free");
    let ready = store.ready(100).await.expect("ready");
    assert!(!left.exists() && foreign.exists());
    drop(ready);
    let names = std::fs::read_dir(home.path()).expect("listed").flatten();
    assert!(names.map(|entry| entry.path()).all(|path| path.extension() != Some("tmp".as_ref())));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_private_and_belongs_to_whom_it_belonged() {
    // What others may read owes that to a umask; a group that may write, alone, is let in on purpose.
    for (before, after) in [
        (0o600, 0o600),
        (0o644, 0o600),
        (0o664, 0o600),
        (0o666, 0o600),
        (0o640, 0o600),
        (0o660, 0o660),
        (0o670, 0o660),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("auth.json");
        std::fs::write(&path, r#"{"OPENAI_API_KEY": "old"}"#).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(before)).expect("set");
        let is_root = path.metadata().expect("there").uid() == 0;
        if is_root {
            std::os::unix::fs::chown(&path, Some(1000), Some(1000)).expect("given away");
        }
        let owner = path.metadata().map(|file| (file.uid(), file.gid())).expect("there");
        put(&*file_store(home.path()), "new").await;
        let file = path.metadata().expect("there");
        assert_eq!((file.mode() & 0o777, file.uid(), file.gid()), (after, owner.0, owner.1));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_marked_read_only_is_not_ready_for_root_either() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("auth.json");
    std::fs::write(&path, r#"{"OPENAI_API_KEY": "old"}"#).expect("written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).expect("set");
    let error = file_store(home.path()).ready(100).await.expect_err("not ready");
    assert_eq!(error.code(), "store_read_only");
    assert!(error.to_string().contains("auth.json"), "{error}");
}
