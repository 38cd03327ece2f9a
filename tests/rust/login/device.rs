//! A user who types a code in elsewhere.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use codex_auth_tests::options::with;
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

/// Answers one request after the other by these statuses and bodies.
fn serve(answers: [(u16, &'static str); 3]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        for (status, body) in answers {
            let (mut client, _) = listener.accept().expect("a client");
            // To the end of its JSON: what is left unread would cut the answer off.
            let mut request = Vec::new();
            while request.last() != Some(&b'}') {
                let mut part = [0; 4096];
                let read = client.read(&mut part).expect("a request");
                request.extend_from_slice(&part[..read]);
            }
            let length = body.len();
            let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            client.write_all(reply.as_bytes()).expect("sent");
        }
    });
    url
}

#[tokio::test]
async fn a_server_that_fails_for_a_moment_ends_no_device_login() {
    let code = r#"{"device_auth_id": "d", "user_code": "CODE", "interval": "0"}"#;
    let scene = Scene::new();
    let url = serve([(200, code), (503, "{}"), (403, "{}")]);
    let manager = scene.builder().issuer(url).build().await.expect("a manager");
    let mut events = manager.subscribe();
    let login = within(manager.login_with_device_code(options())).await.expect("begun");
    // Only the third answer says so.
    assert_eq!(within(events.next()).await.expect("told").kind(), "login_pending");
    login.cancel();
    assert_eq!(refused(within(login.wait()).await).code(), "login_cancelled");
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
    let short = with(options(), |it| it.timeout = Some(Duration::from_millis(1)));
    let login = within(manager.login_with_device_code(short)).await.expect("begun");
    assert_eq!(refused(within(login.wait()).await).code(), "login_timeout");
    assert_eq!(scene.stored(), before);
    assert_eq!(scene.realm().stats()["sign_ins"], json!(0));
}
