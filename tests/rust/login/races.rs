//! Logins, logouts and refreshes at the same time.

use std::time::Duration;

use codex_auth_sdk::LogoutOptions;
use codex_auth_tests::contender::{Contender, Language};
use codex_auth_tests::options::with;
use serde_json::json;

use crate::scene::{Scene, options, visit, within};

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_refresh_in_flight_does_not_undo_a_login() {
    let scene = Scene::signed_in().await;
    let realm = scene.realm();
    realm.call_async("hold", json!({"at": "reply"})).await;
    let mut refreshing = Vec::new();
    for _ in 0..8 {
        let manager = scene.manager().await;
        let auth = manager.auth().expect("signed in");
        refreshing.push(tokio::spawn(async move { manager.refresh_token(&auth).await }));
    }
    realm.call_async("wait", json!({"until": {"held": 1}})).await;
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    visit(login.authorization_url()).await;
    within(login.wait()).await.expect("signed in");
    realm.call_async("release", json!({})).await;
    for refresh in refreshing {
        let outcome = within(refresh).await.expect("no panic").expect("no failure");
        assert!(outcome.is_none(), "what was refreshed is another login by now");
    }
    let tokens = &scene.record().await["tokens"];
    assert_eq!(tokens["refresh_token"], "refresh:sign_in_0_0");
    assert_eq!(tokens["account_id"], "acct-device");
    let live = realm.call_async("live", json!({"text": scene.stored()})).await;
    assert_eq!(live["refresh"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_eight_processes_that_refresh_the_old_login_do_not_undo_the_new_one() {
    let scene = Scene::signed_in().await;
    let realm = scene.realm();
    let manager = scene.manager().await;
    let start = || Contender::start(Language::Rust, scene.home(), &scene.realm(), &json!({}));
    let mut contenders: Vec<_> = (0..8).map(|_| start()).collect();
    contenders.iter_mut().for_each(Contender::wait_until_ready);
    realm.call_async("kill_access", json!({})).await;
    realm.call_async("hold", json!({"at": "reply"})).await;
    contenders.iter_mut().for_each(Contender::go);
    realm.call_async("wait", json!({"until": {"held": 1}})).await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    visit(login.authorization_url()).await;
    within(login.wait()).await.expect("signed in");
    realm.call_async("release", json!({})).await;
    for contender in &mut contenders {
        // What it began with is gone, and it is told so.
        let answer = contender.answer();
        assert_eq!(answer["error"], "GiveUp(IdentityMismatch)", "{answer}");
    }
    assert_eq!(scene.record().await["tokens"]["refresh_token"], "refresh:sign_in_0_0");
    let live = realm.call_async("live", json!({"text": scene.stored()})).await;
    assert_eq!(live["refresh"], true);
    assert_eq!(realm.stats()["requests"], 1, "the eight of them have asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_of_two_logins_at_once_one_is_stored_whole() {
    let scene = Scene::signed_in().await;
    let mut logins = Vec::new();
    for _ in 0..2 {
        let manager = scene.manager().await;
        logins.push(within(manager.login_with_browser(options())).await.expect("begun"));
    }
    let (one, other) = (&logins[0], &logins[1]);
    within(async {
        tokio::join!(visit(one.authorization_url()), visit(other.authorization_url()))
    })
    .await;
    for login in &logins {
        within(login.wait()).await.expect("signed in");
    }
    let record = scene.record().await;
    let refresh = record["tokens"]["refresh_token"].as_str().expect("a name");
    let access = record["tokens"]["access_token"].as_str().expect("a name");
    assert_eq!(refresh.strip_prefix("refresh:"), access.strip_prefix("access:"));
    let live = scene.realm().call_async("live", json!({"text": scene.stored()})).await;
    assert_eq!(live["refresh"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_logout_in_the_middle_of_a_refresh_is_not_undone() {
    let scene = Scene::signed_in().await;
    let realm = scene.realm();
    realm.call_async("hold", json!({"at": "reply"})).await;
    let manager = scene.manager().await;
    let refreshing = {
        let (manager, auth) = (manager.clone(), manager.auth().expect("signed in"));
        tokio::spawn(async move { manager.refresh_token(&auth).await })
    };
    realm.call_async("wait", json!({"until": {"held": 1}})).await;
    let elsewhere = scene.manager().await;
    let outcome = within(elsewhere.logout(LogoutOptions::default())).await.expect("signed out");
    assert!(outcome.removed && outcome.revoked);
    realm.call_async("release", json!({})).await;
    assert!(within(refreshing).await.expect("no panic").expect("no failure").is_none());
    assert!(manager.close(Duration::from_secs(10)).await);
    assert_eq!(scene.stored(), None);
    assert!(manager.auth().is_none());
}

#[tokio::test]
async fn a_login_that_cannot_be_removed_is_not_revoked() {
    let scene = Scene::signed_in().await;
    let manager = scene.manager().await;
    let mut permissions = scene.auth_json().metadata().expect("there").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(scene.auth_json(), permissions).expect("set");
    let error = within(manager.logout(LogoutOptions::default())).await.expect_err("read-only");
    assert_eq!(error.code(), "store_read_only");
    assert!(scene.stored().is_some());
    assert_eq!(scene.realm().stats()["revocations"], json!([]));
}

#[tokio::test]
async fn g3_another_accounts_login_is_removed_only_if_that_is_said() {
    let scene = Scene::signed_in().await;
    let manager = scene.manager().await;
    let other = scene.realm().call_async("login", json!({"name": "b"})).await;
    std::fs::write(scene.auth_json(), other["text"].as_str().expect("a record")).expect("written");
    let error = within(manager.logout(LogoutOptions::default())).await.expect_err("another's");
    assert_eq!(error.code(), "identity_mismatch");
    assert!(scene.stored().is_some());
    let any = with(LogoutOptions::default(), |it| it.any_account = true);
    assert!(within(manager.logout(any)).await.expect("signed out").removed);
    assert_eq!(scene.stored(), None);
    assert_eq!(scene.realm().stats()["revocations"], json!(["refresh:b0"]));
}
