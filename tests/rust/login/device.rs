//! A user who types a code in elsewhere.

use std::time::Duration;

use codex_auth_sdk::LoginOptions;
use serde_json::json;

use crate::scene::{Scene, options, refused, within};

#[tokio::test]
async fn a_device_login_waits_for_its_user_and_tells() {
    let scene = Scene::signed_in().await;
    scene.configure(json!({"device_pending_polls": 1})).await;
    let manager = scene.manager().await;
    let mut events = manager.subscribe();
    let login = within(manager.login_with_device_code(options())).await.expect("begun");
    assert_eq!(login.user_code(), "TEST-CODE");
    assert!(!format!("{login:?}").contains("TEST-CODE"));
    assert_eq!(login.verification_uri(), format!("{}/codex/device", scene.realm().url()));
    assert_eq!(login.verification_uri_complete(), None);
    assert_eq!(login.expires_in().as_secs(), 900);
    let auth = within(login.wait()).await.expect("signed in");
    assert_eq!(auth.account_id(), Some("acct-device"));
    assert_eq!(scene.record().await["tokens"]["refresh_token"], "refresh:sign_in_0_0");
    let kinds = ["login_pending", "identity_changed", "logged_in"];
    for kind in kinds {
        assert_eq!(within(events.next()).await.expect("told").kind(), kind);
    }
}

#[tokio::test]
async fn a_device_login_that_ends_early_changes_nothing() {
    let scene = Scene::signed_in().await;
    let before = scene.stored();
    scene.configure(json!({"device_pending_polls": 1000})).await;
    let manager = scene.manager().await;
    let mut events = manager.subscribe();
    let login = within(manager.login_with_device_code(options())).await.expect("begun");
    assert_eq!(within(events.next()).await.expect("told").kind(), "login_pending");
    login.cancel();
    assert_eq!(refused(within(login.wait()).await).code(), "login_cancelled");
    let short = LoginOptions { timeout: Some(Duration::ZERO), ..options() };
    let login = within(manager.login_with_device_code(short)).await.expect("begun");
    assert_eq!(refused(within(login.wait()).await).code(), "login_timeout");
    assert_eq!(scene.stored(), before);
    assert_eq!(scene.realm().stats()["sign_ins"], json!(0));
}
