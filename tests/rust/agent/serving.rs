//! What the agent answers.

use std::os::unix::process::ExitStatusExt as _;

use chrono::{DateTime, Utc};
use codex_auth_sdk::Secret;
use codex_auth_tests::privilege::are_open_files_denied;
use serde_json::{Value, json};

use crate::access::listening;
use crate::scene::{Reply, Scene, http};

/// A reply has nothing of the stored login that lasts.
fn assert_ends(scene: &Scene, text: &str) {
    let stored = scene.stored();
    for absent in ["/tokens/refresh_token", "/tokens/id_token", "/OPENAI_API_KEY"] {
        let lasting = stored.pointer(absent).and_then(Value::as_str).unwrap_or("-none-");
        assert!(!text.contains(lasting), "{absent}: {text}");
    }
}

#[tokio::test]
async fn g13_a_token_is_handed_out_without_anything_that_lasts() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let reply = scene.get("/v1/token").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_ends(&scene, &reply.text);
    let mut grant = reply.json();
    let token = grant["access_token"].take();
    assert_eq!(token, scene.stored()["tokens"]["access_token"]);
    let request = http().get(format!("{}/api/me", scene.realm().url()));
    let answer = request.bearer_auth(token.as_str().expect("a text")).send().await;
    assert_eq!(answer.expect("a reply").status(), 200);
    for (field, expected) in [
        ("version", json!(1)),
        ("mode", json!("chatgpt")),
        ("user_id", json!("user-a")),
        ("account_id", json!("acct-a")),
        ("plan_type", json!("plus")),
        ("is_fedramp", json!(false)),
    ] {
        assert_eq!(grant[field], expected, "{field}");
    }
    for field in ["login_id", "expires_at", "last_refresh", "generation"] {
        assert!(grant[field].is_string(), "{field}: {grant}");
    }
    assert!(!reply.text.contains("a@example.com"), "{reply:?}");
    assert_eq!(scene.requests(), 0);
}

#[tokio::test]
async fn a_token_that_has_ended_is_refreshed_first() {
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    let _agent = scene.agent(&[]);
    let reply = scene.get("/v1/token").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["access_token"], scene.stored()["tokens"]["access_token"]);
    assert_ends(&scene, &reply.text);
    assert_eq!(scene.requests(), 1);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_next_change() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let first = scene.get("/v1/token").await;
    let again = scene.get("/v1/token?after=another").await;
    assert_eq!(again.json(), first.json(), "it is in another state, so there is no wait");
    let path = format!("/v1/token?after={}", first.text_of("/generation"));
    let poll =
        tokio::spawn(crate::scene::client(&scene.socket()).get(format!("http://l{path}")).send());
    scene.sign_in(&json!({"name": "b"}));
    let reply = poll.await.expect("no panic").expect("a reply");
    let second: Value = reply.json().await.expect("JSON");
    assert_eq!(
        (&second["user_id"], second["generation"] == first.json()["generation"]),
        (&json!("user-b"), false)
    );
    // A sign-out is a change too, and so is the next sign-in.
    let path = format!("/v1/token?after={}", second["generation"].as_str().expect("a text"));
    std::fs::remove_file(scene.path("home/auth.json")).expect("removed");
    let gone = scene.get(&path).await;
    assert_eq!((gone.status, &*gone.code()), (404, "login_required"));
    scene.sign_in(&json!({"name": "c"}));
    let third = scene.get(&format!("/v1/token?after={}", gone.text_of("/generation"))).await;
    assert_eq!(third.text_of("/user_id"), "user-c");
}

#[tokio::test]
async fn g1_one_rejected_token_is_one_redemption_however_many_report_it() {
    if are_open_files_denied() {
        return;
    }
    let scene = Scene::signed_in();
    let (_agent, url, bearer) = listening(&scene, &[]);
    let grant = scene.get("/v1/token").await.json();
    let token = grant["access_token"].as_str().expect("a token").to_owned();
    scene.realm().run("kill_access", &json!({}));
    let whose = json!({"login_id": grant["login_id"], "account_id": grant["account_id"]});
    let mut report = whose.clone();
    report["token"] = json!(Secret::new(&*token).fingerprint().to_string());
    let reports = (0..256).map(|_| {
        let request = http().post(format!("{url}/v1/rejected")).header("authorization", &bearer);
        Reply::of(request.json(&report))
    });
    let replies = futures_util::future::join_all(reports).await;
    let new = scene.stored()["tokens"]["access_token"].clone();
    for reply in &replies {
        assert_eq!((reply.status, &reply.json()["access_token"]), (200, &new), "{reply:?}");
        assert_ends(&scene, &reply.text);
    }
    assert_eq!(scene.requests(), 1);
    // Late ones are one recovery with the others.
    assert_eq!(scene.report(&token, &whose).await.json()["access_token"], new);
    assert_eq!(scene.requests(), 1);
}

#[tokio::test]
async fn g11_reports_cannot_make_the_agent_rotate_in_a_loop() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let mut grant = scene.get("/v1/token").await;
    let given_up = loop {
        let token = grant.text_of("/access_token");
        let reply = scene.report(&token, &grant.json()).await;
        if reply.status != 200 {
            break reply;
        }
        assert_ne!(reply.text_of("/access_token"), token);
        grant = reply;
    };
    assert_eq!((given_up.status, &*given_up.code()), (409, "fresh_token_rejected"));
    assert!(scene.requests() <= 5, "{}", scene.realm().stats());
    assert_eq!(scene.get("/v1/token").await.status, 200);
}

#[tokio::test]
async fn g3_a_report_of_another_login_or_workspace_gets_no_token() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let grant = scene.get("/v1/token").await.json();
    let (login, account) = (&grant["login_id"], &grant["account_id"]);
    let other = "0123456789abcdef0123456789abcdef";
    for (report, expected) in [
        (json!({"login_id": other, "account_id": account}), "identity_mismatch"),
        (json!({"login_id": login, "account_id": "acct-b"}), "identity_mismatch"),
        (json!({"login_id": login}), "identity_mismatch"),
        (json!({"account_id": account}), "missing_identity"),
    ] {
        for token in ["a token of some time ago", grant["access_token"].as_str().expect("a token")]
        {
            let reply = scene.report(token, &report).await;
            assert_eq!((reply.status, &*reply.code()), (409, expected), "{report}");
        }
    }
    let own = json!({"login_id": login, "account_id": account, "unknown": [1]});
    let reply = scene.report("a token of some time ago", &own).await;
    assert_eq!(reply.json()["access_token"], grant["access_token"]);
    assert_eq!(scene.requests(), 0);
}

#[tokio::test]
async fn g3_a_login_of_another_workspace_than_the_agents_is_no_logout() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&["--account-id", "acct-b"]);
    let reply = scene.get("/v1/token").await;
    assert_eq!(&*reply.code(), "identity_mismatch", "{reply:?}");
}

/// Signed in once more, the user has a login again; that is not what such a record needs first.
#[tokio::test]
async fn g3_a_login_whose_tokens_name_two_users_is_no_logout() {
    let scene = Scene::signed_in();
    let mut agent = scene.agent(&[]);
    let grant = scene.get("/v1/token").await.json();
    let mut two = scene.stored();
    scene.sign_in(&json!({"name": "b"}));
    agent.wait_for("identity_changed");
    two["tokens"]["id_token"] = scene.stored()["tokens"]["id_token"].take();
    scene.store(&two.to_string());
    agent.wait_for("identity_changed");
    let token = grant["access_token"].as_str().expect("a token");
    for (reply, expected) in
        [(scene.get("/v1/token").await, 502), (scene.report(token, &grant).await, 409)]
    {
        assert_eq!((reply.status, &*reply.code()), (expected, "identity_mismatch"), "{reply:?}");
    }
    let error = scene.builder().build().await.expect_err("no login is handed out");
    assert_eq!(error.code(), "identity_mismatch", "{error}");
    drop(agent);
    let agent = scene.agent(&[]);
    assert!(agent.said("watching").contains("is not handed out"));
    assert_eq!(scene.requests(), 0);
}

#[tokio::test]
async fn g13_only_a_login_that_ends_is_handed_out() {
    let scene = Scene::new();
    let mut agent = scene.agent(&[]);
    assert!(agent.said("watching").contains("nobody is signed in"));
    let reply = scene.get("/v1/token").await;
    assert_eq!((reply.status, &*reply.code()), (404, "login_required"));
    assert!(reply.text.contains("codex-auth-sdk login"), "{reply:?}");
    for key in [r#"{"OPENAI_API_KEY": "sk-test"}"#, r#"{"personal_access_token": "at-sk-test"}"#] {
        scene.store(key);
        agent.wait_for("identity_changed");
        let reply = scene.get("/v1/token").await;
        assert_eq!((reply.status, &*reply.code()), (403, "unsupported_mode"));
        let report = scene.report("sk-test", &json!({})).await;
        let status = scene.get("/v1/status").await;
        let metrics = scene.get("/metrics").await;
        assert_eq!(metric(&metrics.text, "codex_auth_logged_in"), Some(0.0), "{metrics:?}");
        for reply in [&reply, &report, &status, &metrics] {
            assert!(!reply.text.contains("sk-test"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_refresh_that_fails_is_told_with_what_to_do() {
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    scene.realm().run("expire_refresh", &json!({"token": "a0"}));
    let _agent = scene.agent(&[]);
    let reply = scene.get("/v1/token").await;
    assert_eq!((reply.status, &*reply.code()), (502, "refresh_token_expired"));
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    let fault = json!({
        "kind": "status", "status": 503, "forever": true, "retry_after": {"seconds": 200},
    });
    scene.realm().run("faults", &fault);
    let _agent = scene.agent(&[]);
    let reply = scene.get("/v1/token").await;
    assert_eq!((reply.status, &*reply.code()), (503, "refresh_transient"));
    let wait = reply.json()["error"]["retry_after_seconds"].as_f64();
    assert!(wait.is_some_and(|wait| wait > 100.0), "{reply:?}");
}

#[tokio::test]
async fn the_status_says_what_there_is_and_shows_no_token() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let reply = scene.get("/v1/status").await;
    let login = &reply.json()["logins"][0];
    assert_eq!((&login["name"], &login["user_id"]), (&json!("default"), &json!("user-a")));
    let leaks = scene.realm().call("leaks", &json!({"text": reply.text}));
    assert_eq!(leaks["leaks"], json!([]));
}

/// The value of a metric of the login `default`; none if it has no such metric.
fn metric(text: &str, name: &str) -> Option<f64> {
    let start = format!("{name}{{login=\"default\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    value.map(|value| value.parse().expect("a number"))
}

#[tokio::test]
async fn the_metrics_count_what_was_done_and_show_no_token() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let grant = scene.get("/v1/token").await.json();
    scene.realm().run("kill_access", &json!({}));
    let token = grant["access_token"].as_str().expect("a token");
    assert_eq!(scene.report(token, &grant).await.status, 200);
    let reply = scene.get("/metrics").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let new = scene.get("/v1/token").await.json();
    let end: DateTime<Utc> = new["expires_at"].as_str().expect("a text").parse().expect("a time");
    for (name, expected) in [
        ("codex_auth_redemptions_total", Some(1.0)),
        ("codex_auth_recoveries_total", Some(1.0)),
        ("codex_auth_refresh_failures_total", Some(0.0)),
        ("codex_auth_adoptions_total", Some(0.0)),
        ("codex_auth_logged_in", Some(1.0)),
        ("codex_auth_pending_save", Some(0.0)),
        ("codex_auth_access_token_expiry_timestamp_seconds", Some(end.timestamp() as f64)),
    ] {
        assert_eq!(metric(&reply.text, name), expected, "{name}: {}", reply.text);
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        assert!(reply.text.contains(&format!("# TYPE {name} {kind}\n")), "{name}: {}", reply.text);
    }
    let leaks = scene.realm().call("leaks", &json!({"text": reply.text}));
    assert_eq!(leaks["leaks"], json!([]));
    std::fs::remove_file(scene.path("home/auth.json")).expect("removed");
    let after = format!("/v1/token?after={}", new["generation"].as_str().expect("a text"));
    assert_eq!(scene.get(&after).await.status, 404);
    let text = scene.get("/metrics").await.text;
    assert_eq!(metric(&text, "codex_auth_logged_in"), Some(0.0), "{text}");
    assert_eq!(metric(&text, "codex_auth_access_token_expiry_timestamp_seconds"), None, "{text}");
}

#[tokio::test]
async fn nothing_else_is_answered() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let url = |path: &str| format!("http://localhost{path}");
    let client = crate::scene::client(&scene.socket());
    for (request, expected) in [
        (client.get(url("/")), 404),
        (client.get(url("/v1/token/")), 404),
        (client.get(url("/v1/../auth.json")), 404),
        (client.get(url("/v1/token?login=other")), 404),
        (client.post(url("/v1/rejected?login=other")), 404),
        (client.post(url("/v1/token")), 405),
        (client.get(url("/v1/rejected")), 405),
        (client.delete(url("/v1/status")), 405),
        (client.post(url("/metrics")), 405),
        (client.request(reqwest::Method::OPTIONS, url("/v1/token")), 405),
        (client.post(url("/v1/rejected")), 400),
        (client.post(url("/v1/rejected")).body("{}"), 400),
        (client.post(url("/v1/rejected")).body(" ".repeat(5000)), 413),
    ] {
        let reply = Reply::of(request).await;
        assert_eq!(reply.status, expected, "{reply:?}");
    }
}

#[test]
fn a_second_agent_finds_the_first_and_a_signal_leaves_no_socket() {
    let scene = Scene::signed_in();
    let agent = scene.agent(&[]);
    let mut second = scene.command(&["agent", "--socket"]);
    let ended = second.arg(scene.socket()).output().expect("started");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("listens on") && said.contains("codex-auth-sdk"), "{said}");
    agent.signal("TERM");
    assert_eq!(agent.end().signal(), Some(15));
    assert!(!scene.socket().exists());
    let agent = scene.agent(&[]);
    agent.signal("KILL");
    assert_eq!(agent.end().signal(), Some(9));
    assert!(scene.socket().exists());
    drop(scene.agent(&[]));
}
