//! `export`.

use std::os::unix::fs::PermissionsExt;

use codex_auth_sdk::AuthManager;
use serde_json::json;

use crate::scene::{Scene, http};

#[tokio::test]
async fn a_copy_works_until_its_token_ends_and_cannot_be_refreshed() {
    let scene = Scene::signed_in();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("auth.json");
    let path = file.to_str().expect("text");
    let ended = scene.run(&["export", "--access-only", path]);
    let said = ended.assert_done();
    assert!(said.starts_with(&format!("Wrote {path}: a@example.com, ")), "{said}");
    let mode = file.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).expect("there");
    let tokens = scene.stored()["tokens"].clone();
    assert!(text.contains(tokens["access_token"].as_str().expect("a token")));
    for absent in ["refresh_token", "id_token"] {
        assert!(!text.contains(tokens[absent].as_str().expect("a token")), "{absent}");
    }
    let manager = AuthManager::builder().codex_home(folder.path()).issuer(scene.realm().url());
    let manager = manager.winner_wait(std::time::Duration::ZERO).build().await.expect("read");
    let auth = manager.auth().expect("a login");
    assert_eq!((auth.account_id(), auth.user_id()), (Some("acct-a"), Some("user-a")));
    let request = http().get(format!("{}/api/me", scene.realm().url()));
    let request = request.headers(auth.header_map().expect("headers").clone());
    assert_eq!(request.send().await.expect("a reply").status(), 200);
    drop(manager.refresh_token(&auth).await);
    assert_eq!(scene.realm().stats()["requests"], 0, "there is nothing to redeem");
    // Again, after the login was refreshed.
    scene.run(&["refresh"]).assert_done();
    scene.run(&["export", "--access-only", path]).assert_done();
    assert_ne!(std::fs::read_to_string(&file).expect("there"), text);
}

#[test]
fn a_copy_is_fresh() {
    let scene = Scene::with_login(&json!({"access_age_s": 3300}));
    let path = scene.path("copy.json");
    scene.run(&["export", "--access-only", path.to_str().expect("text")]).assert_done();
    let copy = std::fs::read_to_string(path).expect("there");
    assert_eq!(scene.realm().call("live", &json!({"text": copy}))["access"], true);
    assert_eq!(scene.named()["tokens"]["refresh_token"], "refresh:a1");
}

#[test]
fn a_login_is_never_overwritten_by_a_copy() {
    let scene = Scene::signed_in();
    let before = scene.stored();
    let path = scene.path("auth.json");
    let ended = scene.run(&["export", "--access-only", path.to_str().expect("text")]);
    ended.assert_failed(1, "something else than an access-only copy");
    assert_eq!(scene.stored(), before);
    let ended = scene.run(&["export", "--access-only", "/not/there/auth.json"]);
    ended.assert_failed(1, "/not/there/auth.json");
}

#[test]
fn only_a_login_that_ends_is_copied() {
    let scene = Scene::new();
    let path = scene.path("copy.json");
    let arguments = ["export", "--access-only", path.to_str().expect("text")];
    scene.run(&arguments).assert_failed(3, "no login is stored");
    scene.store(r#"{"OPENAI_API_KEY": "sk-test"}"#);
    scene.run(&arguments).assert_failed(1, "only a ChatGPT login");
    assert!(!path.exists());
}
