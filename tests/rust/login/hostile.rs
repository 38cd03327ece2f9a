//! Programs of this machine, and pages of others, that talk to the listener.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use codex_auth_sdk::BrowserLogin;

use crate::scene::{Scene, options, visit, within};

fn port(login: &BrowserLogin) -> u16 {
    login.redirect_uri().split([':', '/']).nth(4).expect("a port").parse().expect("a number")
}

/// The status of the answer to `head`, sent as it is; none where there is no answer.
fn status(port: u16, head: &str) -> Option<u16> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    // Who is refused may be cut off in the middle.
    drop(connection.write_all(head.as_bytes()));
    let mut answer = String::new();
    drop(connection.read_to_string(&mut answer));
    answer.split(' ').nth(1)?.parse().ok()
}

fn get(port: u16, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_redirect_is_refused_and_the_login_completes() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    let port = port(&login);
    let callback = "/auth/callback";
    let with_code = format!("{callback}?code=x&state=guessed");
    for (head, expected) in [
        (get(port, "/"), Some(404)),
        (get(port, "/cancel"), Some(404)),
        (get(port, callback), Some(400)),
        (get(port, &with_code), Some(400)),
        (get(port, &format!("{callback}?error=access_denied&state=")), Some(400)),
        (get(port, &with_code).replacen("GET", "POST", 1), Some(405)),
        (get(port, &with_code).replacen("localhost", "evil.example", 1), Some(404)),
        (format!("GET {with_code} HTTP/1.0\r\n\r\n"), Some(404)),
        (get(port, &format!("{callback}?{}", "x".repeat(100_000))), Some(431)),
        ("no HTTP at all\r\n\r\n".to_owned(), Some(400)),
    ] {
        let sent = head.clone();
        let found = tokio::task::spawn_blocking(move || status(port, &sent));
        let found = within(found).await.expect("no panic");
        // A head that is too long may have its connection cut before the answer is read.
        let is_cut = expected == Some(431) && found.is_none();
        assert!(found == expected || is_cut, "{found:?} for {:.80}", head);
    }
    assert_eq!(visit(login.authorization_url()).await.status(), 200);
    within(login.wait()).await.expect("signed in");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_strangers_and_those_who_say_nothing_keep_nobody_out() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    let port = port(&login);
    let silent: Vec<_> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("it listens")).collect();
    let strangers = (0..4).map(|_| {
        tokio::task::spawn_blocking(move || {
            let head = get(port, "/auth/callback?code=x&state=guessed");
            (0..2_500).filter(|_| status(port, &head) == Some(400)).count()
        })
    });
    let mut refused = 0;
    for strangers in strangers.collect::<Vec<_>>() {
        refused += within(strangers).await.expect("no panic");
    }
    assert_eq!(refused, 10_000);
    assert_eq!(visit(login.authorization_url()).await.status(), 200);
    within(login.wait()).await.expect("signed in");
    drop(silent);
    assert_eq!(scene.realm().stats()["sign_ins"], serde_json::json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_taken_once() {
    let scene = Scene::new();
    let manager = scene.manager().await;
    let login = within(manager.login_with_browser(options())).await.expect("begun");
    let redirects = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let redirect = within(redirects.get(login.authorization_url()).send()).await.expect("one");
    let address = redirect.headers()["location"].to_str().expect("text").to_owned();
    // At once: one of them is the browser, the other one somebody who looked over its shoulder.
    let (one, other) = within(async { tokio::join!(ask(&address), ask(&address)) }).await;
    let shown = [one, other].iter().filter(|status| **status == Some(200)).count();
    assert_eq!(shown, 1, "{one:?} {other:?}");
    within(login.wait()).await.expect("signed in");
}

/// The status of a page; none where nobody listens any more.
async fn ask(address: &str) -> Option<u16> {
    let browser = reqwest::Client::builder().no_proxy().build().expect("a client");
    Some(browser.get(address).send().await.ok()?.status().as_u16())
}
