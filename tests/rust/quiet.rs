//! Nothing is started before it is needed. Alone in its program, whose threads it counts.
#![cfg(target_os = "linux")]

use codex_auth_sdk::AuthManager;
use codex_auth_tests::issuer::IssuerProcess;
use codex_auth_tests::watchdog::Watchdog;
use serde_json::json;

fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    // One that has ended meanwhile has no name any more.
    let names = tasks
        .filter_map(|task| std::fs::read_to_string(task.expect("a task").path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

fn sockets() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("Linux");
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// Waits until there is a thread that watches a folder, or none.
fn await_watcher(is_there: bool) {
    let _watchdog = Watchdog::over("a folder's watcher");
    while threads().iter().any(|name| name.starts_with("notify")) != is_there {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn g10_no_thread_and_no_socket_until_a_token_is_redeemed() {
    let issuer = IssuerProcess::spawn().expect("an issuer");
    let realm = issuer.realm("");
    let login = realm.call("login", &json!({"name": "a"}));
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("auth.json"), login["text"].as_str().expect("a record"))
        .expect("written");
    let before = (threads().len(), sockets());

    let manager = AuthManager::builder()
        .codex_home(home.path())
        .token_url(format!("{}/oauth/token", realm.url()));
    let manager = manager.build().await.expect("a manager");
    let auth = manager.fresh_auth().await.expect("fresh").expect("signed in");
    auth.headers().expect("headers");
    manager.sync_from_storage(&auth).await.expect("read");
    manager.reload().await.expect("read");
    assert_eq!((threads().len(), sockets()), before, "{:?}", threads());

    manager.refresh_token(&auth).await.expect("refreshed").expect("signed in");
    assert!(threads().contains(&"codex-auth-sdk".to_owned()), "{:?}", threads());

    let following = manager.follow_store();
    await_watcher(true);
    drop(following);
    await_watcher(false);
}
