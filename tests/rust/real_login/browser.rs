//! The authorization code, in a browser on this machine.

use codex_auth_sdk::{AuthManager, BrowserLogin};
use serde_json::{Value, json};

use crate::scene::{Scene, options, refused};

/// A sign-in whose user has opened its address.
async fn begun(scene: &mut Scene) -> (AuthManager, BrowserLogin) {
    let manager = scene.manager().await;
    let login = manager.login_with_browser(options()).await.expect("begun");
    scene.browser.open(login.authorization_url()).await;
    (manager, login)
}

#[tokio::test]
async fn a_user_signs_in_and_the_login_is_good() {
    let Some(mut scene) = Scene::new().await else { return };
    let (_manager, login) = begun(&mut scene).await;
    scene.logs_in("ada").await;
    scene.agrees().await;
    scene.browser.sees("Signed in").await;
    let auth = login.wait().await.expect("signed in");
    assert_eq!(auth.email(), Some("ada@example.com"));
    // Another program finds it, and it can be renewed.
    let another = scene.manager().await;
    assert_eq!(another.auth().expect("stored").access_token(), auth.access_token());
    let renewed = another.refresh_token(&auth).await.expect("renewed").expect("a login");
    assert_eq!(renewed.email(), auth.email());
    let stats = scene.realm().stats();
    assert_eq!((&stats["consumed"], &stats["refused"]), (&json!(1), &json!([])));
}

#[tokio::test]
async fn a_user_who_declines_changes_nothing() {
    let Some(mut scene) = Scene::new().await else { return };
    let (_manager, login) = begun(&mut scene).await;
    scene.logs_in("ada").await;
    scene.declines().await;
    scene.browser.sees("Not signed in").await;
    let error = refused(login.wait().await);
    assert_eq!((error.code(), error.reason()), ("login_denied", Some("access_denied")));
    assert_eq!(scene.record(), Value::Null);
}

#[tokio::test]
async fn an_id_token_that_is_not_ours_is_no_login() {
    let Some(mut scene) = Scene::new().await else { return };
    // Forged as the others are, but for what is wrong with them.
    scene.realm().run("forge", &json!({}));
    let (manager, login) = begun(&mut scene).await;
    scene.logs_in("ada").await;
    scene.agrees().await;
    scene.browser.sees("Signed in").await;
    login.wait().await.expect("signed in");
    let before = scene.record();
    for forgery in [
        json!({"strange": true}),
        json!({"claims": {"nonce": "of another sign-in"}}),
        json!({"claims": {"aud": "another client"}}),
        json!({"claims": {"iss": "http://127.0.0.1:1"}}),
        json!({"claims": {"exp": 1}}),
    ] {
        scene.realm().run("forge", &forgery);
        let login = manager.login_with_browser(options()).await.expect("begun");
        scene.browser.open(login.authorization_url()).await;
        scene.agrees().await;
        scene.browser.sees("Not signed in").await;
        let error = refused(login.wait().await);
        let found = (error.code(), error.reason());
        assert_eq!(found, ("login_failed", Some("invalid_id_token")), "{forgery}");
        assert_eq!(scene.record(), before, "{forgery}");
    }
}
