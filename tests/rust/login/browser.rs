//! The browser of a user who agrees, or does not.

use std::net::TcpStream;
use std::time::Duration;

use codex_auth_sdk::{AuthMode, IdTokenValidation, LoginOptions, Secret};
use codex_auth_tests::options::with;
use serde_json::json;

use crate::scene::{Scene, options, refused, visit, within};

#[tokio::test]
async fn a_browser_login_is_stored_as_the_cli_would_store_it() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let mut events = manager.subscribe();
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    let port = login.redirect_uri().split([':', '/']).nth(4).expect("a port").to_owned();
    assert!(!format!("{login:?}").contains("state="));
    let page = visit(login.authorization_url()).await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let text = page.text().await.expect("a page");
    assert!(text.contains("Signed in") && !text.contains("http"), "{text}");
    let auth = within(login.wait()).await.expect("signed in");
    assert_eq!((auth.mode(), auth.account_id()), (AuthMode::ChatGpt, Some("acct-device")));
    assert_eq!(manager.auth().as_ref(), Some(&auth));
    let record = scene.record().await;
    assert_eq!(record["auth_mode"], "chatgpt");
    assert_eq!(record["OPENAI_API_KEY"], json!(null));
    assert_eq!(record["tokens"]["refresh_token"], "refresh:sign_in_0_0");
    assert_eq!(record["tokens"]["account_id"], "acct-device");
    assert!(record["last_refresh"].is_string());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = scene.auth_json().metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let kinds = [within(events.next()).await, within(events.next()).await];
    let kinds = kinds.map(|event| event.expect("told").kind());
    assert_eq!(kinds, ["identity_changed", "logged_in"]);
    // Nobody listens any more.
    assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
    // And the login is one that can be used.
    scene.realm().call_async("kill_access", json!({})).await;
    assert!(within(manager.refresh_token(&auth)).await.expect("refreshed").is_some());
}

#[tokio::test]
async fn a_new_login_says_which_client_it_belongs_to() {
    let scene = Scene::new();
    scene.configure(json!({"client_id": "another-app"})).await;
    let manager = scene.builder().client_id("another-app").build().await.expect("a manager");
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    visit(login.authorization_url()).await;
    within(login.wait()).await.expect("signed in");
    let provenance = json!({"issuer": scene.realm().url(), "client_id": "another-app"});
    assert_eq!(scene.record().await["tokens"]["oauth_provenance"], provenance);
    // Another program, which knows nothing of that client, goes on with the login.
    let other = scene.manager().await;
    let auth = other.auth().expect("signed in");
    scene.realm().call_async("kill_access", json!({})).await;
    assert!(within(other.refresh_token(&auth)).await.expect("refreshed").is_some());
}

#[tokio::test]
async fn a_new_login_takes_the_place_of_another_accounts_whole() {
    let scene = Scene::signed_in().await;
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    visit(login.authorization_url()).await;
    within(login.wait()).await.expect("signed in");
    let record = scene.record().await;
    assert_eq!(record["tokens"]["account_id"], "acct-device");
    let stats = scene.realm().stats();
    assert_eq!(stats["revocations"], json!([]), "by default nothing is revoked");
}

#[tokio::test]
async fn what_was_replaced_is_revoked_if_asked_for_and_after_the_save() {
    let scene = Scene::signed_in().await;
    let manager = scene.manager().await;
    let options = with(options(), |it| it.revoke_replaced = true);
    let login = within(manager.login_with_browser(options)).await.expect("begun");
    visit(login.authorization_url()).await;
    within(login.wait()).await.expect("signed in");
    assert_eq!(scene.realm().stats()["revocations"], json!(["refresh:a0"]));
    assert_eq!(scene.record().await["tokens"]["account_id"], "acct-device");
}

#[tokio::test]
async fn a_user_who_declines_changes_nothing() {
    let scene = Scene::signed_in().await;
    let before = scene.stored();
    scene.configure(json!({"sign_in_error": "access_denied"})).await;
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    let page = visit(login.authorization_url()).await;
    assert_eq!(page.status(), 400);
    assert!(page.text().await.expect("a page").contains("Not signed in"));
    assert_eq!(refused(within(login.wait()).await).code(), "login_denied");
    assert_eq!(scene.stored(), before);
    assert_eq!(manager.auth().expect("still").account_id(), Some("acct-a"));
}

#[tokio::test]
async fn cancelling_frees_the_port_and_changes_nothing() {
    let scene = Scene::signed_in().await;
    let before = scene.stored();
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    let port: u16 =
        login.redirect_uri().split([':', '/']).nth(4).expect("a port").parse().expect("one");
    let on_it = with(options(), |it| it.ports = vec![port]);
    let busy = within(manager.login_with_browser(on_it.clone())).await.expect_err("taken");
    assert_eq!(busy.code(), "login_port_busy");
    let next_free = with(options(), |it| it.ports = vec![port, 0]);
    drop(within(manager.login_with_browser(next_free)).await.expect("the next one"));
    login.cancel();
    assert_eq!(refused(within(login.wait()).await).code(), "login_cancelled");
    drop(within(manager.login_with_browser(on_it)).await.expect("free again"));
    assert_eq!(scene.stored(), before);
}

#[tokio::test]
async fn who_waits_does_not_keep_it_going() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    let waiting = login.wait();
    drop(login);
    assert_eq!(refused(within(waiting).await).code(), "login_cancelled");
}

#[tokio::test]
async fn nobody_is_waited_for_for_ever() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let options = with(options(), |it| it.timeout = Some(Duration::from_millis(20)));
    let login = within(manager.login_with_browser(options)).await.expect("begun");
    assert_eq!(refused(within(login.wait()).await).code(), "login_timeout");
    assert_eq!(scene.stored(), None);
}

#[tokio::test]
async fn an_address_that_is_pasted_does_where_nobody_can_listen() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let options = with(LoginOptions::default(), |it| it.manual = true);
    let login = within(manager.login_with_browser(options)).await.expect("begun");
    assert_eq!(login.redirect_uri(), "http://127.0.0.1:1455/auth/callback");
    let page = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let redirect = within(page.get(login.authorization_url()).send()).await.expect("a redirect");
    let address = redirect.headers()["location"].to_str().expect("text").to_owned();
    let other = address.replace("state=", "state=x");
    assert_eq!(refused(within(login.complete(&other)).await).code(), "login_state_mismatch");
    assert_eq!(refused(within(login.complete("hello")).await).code(), "login_failed");
    let auth = within(login.complete(&format!(" {address} "))).await.expect("signed in");
    assert_eq!(auth.account_id(), Some("acct-device"));
}

#[tokio::test]
async fn a_login_of_another_workspace_is_refused_and_not_saved() {
    let scene = Scene::signed_in().await;
    let before = scene.stored();
    let pinned = scene.builder().account_id("acct-a").build().await.expect("a manager");
    let named = with(options(), |it| it.allowed_workspaces = vec!["acct-x".to_owned()]);
    for (manager, options) in [(scene.manager().await, named), (pinned, options())] {
        let login = within(manager.login_with_browser(options)).await.expect("begun");
        assert_eq!(visit(login.authorization_url()).await.status(), 400);
        let error = refused(within(login.wait()).await);
        assert_eq!(error.code(), "login_workspace_not_allowed");
        assert_eq!(scene.stored(), before);
    }
    let named = with(options(), |it| it.allowed_workspaces = vec!["acct-device".to_owned()]);
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(named)).await.expect("begun");
    assert!(login.authorization_url().contains("allowed_workspace_id=acct-device"));
    visit(login.authorization_url()).await;
    within(login.wait()).await.expect("signed in");
}

#[tokio::test]
async fn nobody_is_asked_where_the_login_could_not_be_saved() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    std::fs::remove_file(scene.auth_json()).unwrap_or_default();
    std::fs::create_dir(scene.auth_json()).expect("made");
    let error = within(manager.login_with_browser(options())).await.expect_err("no login");
    assert_eq!(error.code(), "store_unavailable", "{error}");
    assert!(std::path::Path::new(&scene.auth_json()).is_dir());
}

#[tokio::test]
async fn an_id_token_that_must_be_checked_and_cannot_is_no_login() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let options = with(options(), |it| it.id_token_validation = IdTokenValidation::Required);
    let login = within(manager.login_with_browser(options)).await.expect("begun");
    visit(login.authorization_url()).await;
    assert_eq!(refused(within(login.wait()).await).code(), "login_failed");
    assert_eq!(scene.stored(), None);
}

#[tokio::test]
async fn a_key_or_token_is_stored_as_it_is() {
    let scene = Scene::signed_in().await;
    let manager = scene.manager().await;
    let auth = within(manager.login_with_api_key(&Secret::new("sk-new"))).await.expect("stored");
    assert_eq!((auth.mode(), manager.auth()), (AuthMode::ApiKey, Some(auth.clone())));
    let auth =
        within(manager.login_with_access_token(&Secret::new("at-new"))).await.expect("stored");
    assert_eq!(auth.mode(), AuthMode::PersonalAccessToken);
    let error = within(manager.login_with_api_key(&Secret::new("no key"))).await.expect_err("no");
    assert_eq!(error.code(), "login_invalid_credential");
    assert_eq!(manager.auth(), Some(auth));
}
