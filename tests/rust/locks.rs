//! The locks of `auth.json` beside those of other programs, under a paused clock.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use codex_auth_sdk::Result;
use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, FileStorage, Swap, Version};
use codex_auth_tests::paused::simulated;
use tokio::task::JoinHandle;

fn file_store(home: &Path) -> Arc<FileStorage> {
    Arc::new(FileStorage::new(home, simulated(DateTime::UNIX_EPOCH)))
}

/// Takes a lock as the Codex CLI does.
fn lock(path: &Path) -> File {
    let file = File::create(path).expect("opened");
    file.try_lock().expect("free");
    file
}

fn save(store: &Arc<FileStorage>) -> JoinHandle<Result<Swap>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.commit(&Version::absent(), &AuthDotJson::default()).await })
}

async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_save_waits_for_another_programs_save() {
    for name in ["auth.lock", "auth.json.lock"] {
        let home = tempfile::tempdir().expect("a folder");
        let held = lock(&home.path().join(name));
        let saving = save(&file_store(home.path()));
        pass(5_000).await;
        assert!(!saving.is_finished(), "{name} is held");
        assert!(!home.path().join("auth.json").exists());
        held.unlock().expect("unlocked");
        assert_eq!(saving.await.expect("no panic").expect("saved"), Swap::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_lock_is_not_kept_from_others_while_the_second_is_busy() {
    let home = tempfile::tempdir().expect("a folder");
    let held = lock(&home.path().join("auth.json.lock"));
    let saving = save(&file_store(home.path()));
    let (mut free, mut taken) = (0, 0);
    for _ in 0..2_000 {
        pass(1).await;
        match File::open(home.path().join("auth.lock")).expect("created").try_lock() {
            Ok(()) => free += 1,
            Err(_) => taken += 1,
        }
    }
    assert!(free > 0 && taken > free, "free {free}, taken {taken}");
    drop(held);
    assert_eq!(saving.await.expect("no panic").expect("saved"), Swap::Done);
}

#[tokio::test(start_paused = true)]
async fn a_save_that_was_stopped_until_its_time_is_over_looks_once_more() {
    for name in ["auth.lock", "auth.json.lock"] {
        let home = tempfile::tempdir().expect("a folder");
        let held = lock(&home.path().join(name));
        let saving = save(&file_store(home.path()));
        pass(1_000).await;
        held.unlock().expect("unlocked");
        tokio::time::advance(Duration::from_secs(20)).await;
        let saved = saving.await.expect("no panic");
        assert_eq!(saved.expect("the locks are free"), Swap::Done, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_never_given_back_is_a_clear_error() {
    let home = tempfile::tempdir().expect("a folder");
    let _held = lock(&home.path().join("auth.lock"));
    let error = save(&file_store(home.path())).await.expect("no panic").expect_err("locked");
    assert_eq!((error.code(), error.is_transient()), ("lock_timeout", true));
    assert!(error.to_string().contains("auth.lock"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn the_program_that_holds_a_lock_for_too_long_is_named() {
    for name in ["auth.lock", "auth.json.lock"] {
        let home = tempfile::tempdir().expect("a folder");
        let _held = lock(&home.path().join(name));
        let error = save(&file_store(home.path())).await.expect("no panic").expect_err("locked");
        let text = error.to_string();
        #[expect(clippy::disallowed_methods, reason = "the number that the system shows")]
        let expected = format!("process {} (", std::process::id());
        assert!(text.contains(&expected) && text.contains(&format!("{name} ")), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_gets_no_lock_stays_beside_the_old_one_for_the_next_program() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("auth.json");
    let [old, new] = ["old", "new"].map(|key| {
        AuthDotJson::parse(format!("{{\"OPENAI_API_KEY\": \"{key}\"}}").as_bytes())
            .expect("a record")
    });
    let (store, other) = (file_store(home.path()), file_store(home.path()));
    assert_eq!(store.commit(&Version::absent(), &old).await.expect("saved"), Swap::Done);
    let version = store.load().await.expect("read").version;

    let held = lock(&home.path().join("auth.lock"));
    let _ready = store.ready(0).await.expect_err("not ready");
    store.commit(&version, &new).await.expect_err("locked");
    assert_eq!(other.leftovers().await.expect("readable"), std::slice::from_ref(&new));
    store.commit(&version, &new).await.expect_err("still locked");
    assert_eq!(other.leftovers().await.expect("readable").len(), 1, "one file");

    held.unlock().expect("unlocked");
    assert_eq!(store.commit(&version, &new).await.expect("saved"), Swap::Done);
    assert_eq!(other.leftovers().await.expect("readable"), []);

    let version = store.load().await.expect("read").version;
    held.lock().expect("free");
    store.commit(&version, &old).await.expect_err("locked");
    std::fs::remove_file(&path).expect("signed out");
    store.load().await.expect("read");
    assert_eq!(other.leftovers().await.expect("readable"), [], "a logout leaves no token");
}

#[tokio::test(start_paused = true)]
async fn g5_a_store_whose_commit_locks_are_stuck_is_not_ready() {
    for name in ["auth.lock", "auth.json.lock"] {
        let home = tempfile::tempdir().expect("a folder");
        let _held = lock(&home.path().join(name));
        let error = file_store(home.path()).ready(100).await.expect_err("not ready");
        assert_eq!(error.code(), "lock_timeout");
    }
}

// On Windows it cannot be removed.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_removed_lock_file_is_noticed_before_a_token_is_spent() {
    let home = tempfile::tempdir().expect("a folder");
    let store = file_store(home.path());
    let held = store.try_lock().await.expect("a lock").expect("free");
    held.check().expect("held");
    std::fs::remove_file(home.path().join(".codex-auth-sdk.lock")).expect("removed");
    let error = held.check().expect_err("lost");
    assert_eq!(error.code(), "store_unavailable");
    assert!(store.try_lock().await.expect("a lock").is_some(), "others go on with a new file");
}

#[tokio::test(start_paused = true)]
async fn a_half_written_file_is_waited_for_and_never_a_logout() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("auth.json");
    let store = file_store(home.path());
    for torn in ["", "{\"tokens\": {\"acc"] {
        std::fs::write(&path, torn).expect("written");
        assert!(store.load_now().is_none(), "reading takes waiting");
        let loading = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.load().await }
        });
        pass(900).await;
        assert!(!loading.is_finished());
        std::fs::write(&path, "{\"OPENAI_API_KEY\": \"sk\"}").expect("written");
        assert!(loading.await.expect("no panic").expect("healed").record.is_some());
        std::fs::write(&path, torn).expect("written");
        let error = store.load().await.expect_err("it stays torn");
        assert_eq!(error.code(), "store_corrupt");
        assert!(error.to_string().contains("auth.json"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), torn);
    }
}

#[tokio::test(start_paused = true)]
async fn g6_a_file_that_is_away_for_a_moment_is_no_logout() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("auth.json");
    let record = |key| format!("{{\"OPENAI_API_KEY\": \"{key}\"}}");
    let store = file_store(home.path());
    std::fs::write(&path, record("old")).expect("written");
    let old = store.load().await.expect("read");

    std::fs::remove_file(&path).expect("removed");
    assert!(store.load_now().is_none(), "reading takes waiting");
    assert_eq!(store.delete(&old.version).await.expect("no error"), Swap::Conflict);
    let loading = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.load().await }
    });
    pass(900).await;
    assert!(!loading.is_finished());
    std::fs::write(&path, record("new")).expect("renamed into place");
    let new = loading.await.expect("no panic").expect("read");
    assert!(new.record.is_some());

    std::fs::remove_file(&path).expect("signed out");
    let start = tokio::time::Instant::now();
    assert!(store.load().await.expect("read").record.is_none());
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(2), "{waited:?}");
    assert!(store.load_now().is_some(), "waited for once");

    assert_eq!(
        store.commit(&Version::absent(), &AuthDotJson::default()).await.expect("saved"),
        Swap::Done
    );
    let version = store.load().await.expect("read").version;
    assert_eq!(store.delete(&version).await.expect("removed"), Swap::Done);
    assert!(store.load_now().is_some(), "its own logout is believed at once");
}
