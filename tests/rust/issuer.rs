//! The test issuer itself: a mistake in it would be a mistake in every other test.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codex_auth_tests::issuer::{Issuer, IssuerProcess, Realm};
use serde_json::{Value, json};

#[test]
fn tokens_are_used_once() {
    let (_issuer, realm) = realm_with(&json!({}));
    let first = text_of(&realm, "refresh:a0");

    let (status, granted) = refresh(&realm, &first);
    assert_eq!(status, 200);
    assert_eq!(granted["refresh_token"], text_of(&realm, "refresh:a1"));
    assert_eq!(granted["id_token"], text_of(&realm, "id:a1"));
    assert_eq!(api_status(&realm, "access:a1"), 200);
    assert_eq!(api_status(&realm, "access:a0"), 200);

    let (status, refused) = refresh(&realm, &first);
    assert_eq!(status, 401);
    assert_eq!(refused["error"]["code"], "refresh_token_reused");
    let stats = realm.stats();
    assert_eq!(stats["tokens"]["a0"]["delivered"], 1);
    assert_eq!(stats["max_redemptions"], 1);
    assert_eq!(stats["replays"], 1);
    assert_eq!(live(&realm, "a1"), (true, true));
    let spent = realm.call("live", &json!({ "label": "a0" }));
    assert_eq!((&spent["label"], &spent["successor"]), (&json!("a0"), &json!("a1")), "{spent}");
    assert_eq!(realm.call("live", &json!({ "label": "a1" }))["successor"], Value::Null);
}

#[test]
fn revoke_family_ends_every_descendant() {
    let (_issuer, realm) = realm_with(&json!({ "policy": "revoke_family" }));
    let first = text_of(&realm, "refresh:a0");
    let (_, granted) = refresh(&realm, &first);

    assert_eq!(code(&refresh(&realm, &first)), "refresh_token_reused");
    let second = granted["refresh_token"].as_str().expect("a token");
    assert_eq!(code(&refresh(&realm, second)), "refresh_token_invalidated");
    assert_eq!(api_status(&realm, "access:a1"), 401);
    assert_eq!(live(&realm, "a1"), (false, false));
}

#[test]
fn a_grace_window_grants_the_same_successor() {
    let (_issuer, realm) = realm_with(&json!({ "grace_ms": 60_000 }));
    let first = text_of(&realm, "refresh:a0");
    realm.run("faults", &json!({ "kind": "drop", "spend": true }));

    assert!(try_refresh(&realm, &first).is_none());
    let (status, granted) = refresh(&realm, &first);
    assert_eq!(status, 200);
    assert_eq!(granted["refresh_token"], text_of(&realm, "refresh:a1"));
    let stats = realm.stats();
    assert_eq!(stats["in_doubt_presentations"], 1);
    assert_eq!(stats["max_redemptions"], 1);
    assert_eq!((&stats["grants"], &stats["regrants"]), (&json!(1), &json!(1)));
}

#[test]
fn a_server_may_not_rotate() {
    for (reply, expected) in [("same", 0), ("omit", 1), ("empty", 2)] {
        let config = json!({ "rotate": false, "reply_refresh_token": reply });
        let (_issuer, realm) = realm_with(&config);
        let token = text_of(&realm, "refresh:a0");
        drop(refresh(&realm, &token));
        let (status, granted) = refresh(&realm, &token);
        assert_eq!(status, 200);
        let expected = [json!(token), Value::Null, json!("")][expected].clone();
        assert_eq!(granted["refresh_token"], expected, "{reply}");
        assert_eq!(granted["access_token"], text_of(&realm, "access:a2"));
        assert_eq!(realm.stats()["max_redemptions"], 0);
    }
}

#[test]
fn bodies_may_be_json_or_form() {
    let (_issuer, realm) = realm_with(&json!({ "client_id": "app" }));
    let token = text_of(&realm, "refresh:a0");
    let form = format!("grant_type=refresh_token&client_id=app&refresh_token={token}");
    let reply = realm
        .exchange("POST", "/oauth/token", "application/x-www-form-urlencoded", "", &form)
        .expect("a reply");
    assert_eq!(reply.status, 200);
    assert_eq!(realm.stats()["encodings"]["form"], 1);
    // Without the client id that the realm expects:
    assert_eq!(code(&refresh(&realm, &token)), "invalid_client");
}

#[test]
fn a_record_is_written_as_the_cli_writes_it() {
    let (_issuer, realm) = realm_with(&json!({}));
    let text = realm.call("store_text", &json!({ "record": "a0" }))["text"].clone();
    let text = text.as_str().expect("a text");
    let order = [
        "\n  \"auth_mode\": \"chatgpt\"",
        "\n  \"OPENAI_API_KEY\": null",
        "\n  \"tokens\": {",
        "\n    \"id_token\"",
        "\n    \"access_token\"",
        "\n    \"refresh_token\"",
        "\n    \"account_id\": \"acct-a\"",
        "\n  \"last_refresh\"",
    ];
    let places: Vec<_> = order.iter().map(|part| text.find(part)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{places:?} in {text}");
    assert!(!text.ends_with('\n'));

    let edits = json!({
        "record": "a0",
        "set": { "/tokens/refresh_token": "refresh:a0", "/tokens/later/deep": 1, "/new": [1] },
        "remove": ["/last_refresh"],
        "compact": true,
    });
    let edited = realm.call("store_text", &edits)["text"].clone();
    let expected = json!({
        "/new/0": 1,
        "/tokens/later": { "deep": 1 },
        "/tokens/refresh_token": "refresh:a0",
        "last_refresh": { "$present": false },
    });
    let checked = realm.call("check_store", &json!({ "text": edited, "expect": expected }));
    assert_eq!(checked["mismatches"], json!([]));
    let cut = realm.call("store_text", &json!({ "record": "a0", "cut": 7 }));
    assert_eq!(cut["text"].as_str().map(str::len), Some(7));
}

#[test]
fn access_tokens_say_what_the_realm_is_told() {
    let config = json!({ "clock_offset_s": -7200, "access_ttl_ms": 300 });
    let (_issuer, realm) = realm_with(&config);
    drop(refresh(&realm, &text_of(&realm, "refresh:a0")));
    let claims = claims(&text_of(&realm, "access:a1"));
    let (iat, exp) = (number(&claims["iat"]), number(&claims["exp"]));
    let now = number(&json!(seconds_now()));
    assert!((iat - (now - 7200)).abs() <= 1, "{iat} at {now}");
    assert!((1..=2).contains(&(exp - iat)), "rounded up: {iat} to {exp}");
    assert_eq!(claims["https://api.openai.com/auth"]["chatgpt_account_id"], "acct-a");
    // The real life is exact, whatever the token says.
    let limit = Instant::now() + Duration::from_secs(10);
    while api_status(&realm, "access:a1") != 401 {
        assert!(Instant::now() < limit, "it never expires");
    }

    realm.run("configure", &json!({ "access_token": "opaque" }));
    drop(refresh(&realm, &text_of(&realm, "refresh:a1")));
    assert!(!text_of(&realm, "access:a2").contains('.'));
    realm.run("configure", &json!({ "access_token": "no_exp" }));
    drop(refresh(&realm, &text_of(&realm, "refresh:a2")));
    assert!(self::claims(&text_of(&realm, "access:a3"))["exp"].is_null());
}

#[test]
fn faults_are_consumed_in_order() {
    let (_issuer, realm) = realm_with(&json!({}));
    let token = text_of(&realm, "refresh:a0");
    realm.run(
        "faults",
        &json!([
            { "kind": "status", "status": 503, "retry_after": { "seconds": 2 }, "times": 2 },
            { "kind": "status", "status": 400, "code": "invalid_grant", "shape": "oauth" },
            { "kind": "not_json" },
            { "kind": "empty" },
            { "kind": "wrong_type" },
            { "kind": "redirect" },
            { "kind": "drop" },
            { "kind": "truncated", "spend": true },
        ]),
    );
    let head = raw_refresh(&realm, &token).expect("a reply").head;
    assert!(head.contains("retry-after: 2"), "{head}");
    assert_eq!(refresh(&realm, &token).0, 503);
    assert_eq!(refresh(&realm, &token).1["error"], "invalid_grant");
    assert_eq!(refresh(&realm, &token), (200, Value::Null));
    assert_eq!(refresh(&realm, &token), (200, Value::Null));
    assert_eq!(refresh(&realm, &token).1["access_token"], 42);
    let redirect = raw_refresh(&realm, &token).expect("a reply");
    assert_eq!(redirect.status, 307);
    assert!(redirect.head.contains(&format!("{}/oauth/stolen", realm.url())));
    assert!(try_refresh(&realm, &token).is_none());
    assert!(live(&realm, "a0").0);
    let cut = raw_refresh(&realm, &token).expect("a head and half a body");
    assert!(serde_json::from_str::<Value>(&cut.body).is_err());
    assert!(!live(&realm, "a0").0);
    let stats = realm.stats();
    assert_eq!(stats["faulted"], 9);
    assert_eq!(stats["faults_left"], 0);
    assert_eq!(stats["stolen"], 0);
}

#[test]
fn huge_and_slow_bodies_arrive() {
    let (_issuer, realm) = realm_with(&json!({}));
    let token = text_of(&realm, "refresh:a0");
    let faults = json!([
        { "kind": "huge", "bytes": 3_000_000 },
        { "kind": "slow", "every_ms": 1, "spend": true },
    ]);
    realm.run("faults", &faults);
    let huge = raw_refresh(&realm, &token).expect("a reply");
    assert!(huge.body.len() > 2_900_000);
    let begun = Instant::now();
    let slow = raw_refresh(&realm, &token).expect("a reply");
    assert!(begun.elapsed() > Duration::from_millis(300));
    // Each byte is a chunk of its own.
    assert!(slow.head.contains("chunked") && slow.body.starts_with("1\r\n{\r\n"));
    assert!(!live(&realm, "a0").0);
}

#[test]
fn a_held_request_waits_for_its_release() {
    let (_issuer, realm) = realm_with(&json!({}));
    realm.run("hold", &json!({}));
    let token = text_of(&realm, "refresh:a0");
    let client = {
        let (realm, token) = (realm.clone(), token.clone());
        std::thread::spawn(move || refresh(&realm, &token))
    };
    drop(realm.wait(&json!({ "held": 1 })));
    // Nothing is spent yet, so somebody else can be first.
    assert_eq!(realm.call("rotate", &json!({ "token": "a0" }))["label"], "a1");
    realm.run("release", &json!({}));
    assert_eq!(code(&client.join().expect("no panic")), "refresh_token_reused");
    assert_eq!(realm.stats()["held"], 0);

    let timeout = json!({ "until": { "held": { "$at_least": 1 } }, "timeout_ms": 10 });
    let (status, answer) = realm.post("/control/wait", &timeout);
    assert_eq!(status, 400, "{answer}");
}

#[test]
fn refusals_may_be_faster_than_grants() {
    let config = json!({ "grant_latency_ms": 400, "refusal_latency_ms": 0 });
    let (_issuer, realm) = realm_with(&config);
    let token = text_of(&realm, "refresh:a0");
    let winner = {
        let (realm, token) = (realm.clone(), token.clone());
        std::thread::spawn(move || refresh(&realm, &token).0)
    };
    drop(realm.wait(&json!({ "grants": 1 })));
    // The token is spent at the start of the winner's wait.
    assert_eq!(code(&refresh(&realm, &token)), "refresh_token_reused");
    assert!(!winner.is_finished());
    assert_eq!(winner.join().expect("no panic"), 200);
}

#[test]
fn realms_do_not_know_each_other() {
    let (issuer, realm) = realm_with(&json!({}));
    let other = issuer.realm("other");
    let begun = other_start(&issuer);
    assert_eq!(begun["url"], other.url());
    let token = text_of(&realm, "refresh:a0");
    assert_eq!(code(&refresh(&other, &token)), "refresh_token_invalidated");
    assert_eq!(refresh(&realm, &token).0, 200);
}

#[test]
fn control_calls_reject_what_they_do_not_know() {
    let (_issuer, realm) = realm_with(&json!({}));
    for (name, arguments) in [
        ("nothing", json!({})),
        ("configure", json!({ "polcy": "error" })),
        ("faults", json!({ "kind": "drop", "spends": true })),
        ("login", json!({ "name": "a" })),
        ("login", json!({ "name": "digit7" })),
        ("rotate", json!({ "token": "b0" })),
        ("store_text", json!({ "record": "a0", "text": "" })),
    ] {
        let (status, answer) = realm.post(&format!("/control/{name}"), &arguments);
        assert_eq!(status, 400, "{name}: {answer}");
    }
}

#[test]
fn expectations_are_compared_here() {
    let (_issuer, realm) = realm_with(&json!({}));
    let actual = json!({
        "auth": { "access_token": text_of(&realm, "access:a0"), "plan_type": "plus" },
        "count": 2,
        "error": null,
    });
    let good = [
        json!(null),
        json!({ "auth": { "access_token": "access:a0" }, "count": 2.0 }),
        json!({ "/auth/plan_type": { "$one_of": ["pro", "plus"] } }),
        json!({ "count": { "$at_least": 2 }, "other": null }),
        json!({ "auth": { "plan_type": { "$contains": "lu" }, "x": { "$present": false } } }),
    ];
    let bad = [
        json!({ "auth": null }),
        json!({ "auth": { "access_token": "access:a1" } }),
        json!({ "count": { "$at_most": 1 } }),
        json!({ "count": { "$roughly": 1 } }),
        json!({ "other": { "$present": true } }),
    ];
    let check = |expect: &Value| {
        let answer = realm.call("check", &json!({ "actual": actual, "expect": expect }));
        answer["mismatches"].as_array().map(Vec::len)
    };
    for expect in &good[1..] {
        assert_eq!(check(expect), Some(0), "{expect}");
    }
    assert_eq!(check(&good[0]), Some(1), "null means nothing at all");
    for expect in &bad {
        assert_eq!(check(expect), Some(1), "{expect}");
    }
    let failed = json!({ "actual": { "error": { "code": "x" } }, "expect": {} });
    assert_ne!(realm.call("check", &failed)["mismatches"], json!([]));
}

#[test]
fn leaks_are_found_by_name() {
    let (_issuer, realm) = realm_with(&json!({}));
    let text = format!("token={} and more", text_of(&realm, "refresh:a0"));
    let answer = realm.call("leaks", &json!({ "text": text }));
    assert_eq!(answer["leaks"], json!(["refresh:a0"]));
    assert_eq!(realm.call("leaks", &json!({ "text": "refresh:a0" }))["leaks"], json!([]));
}

#[test]
fn the_end_of_a_case_is_checked_in_one_call() {
    let (_issuer, realm) = realm_with(&json!({}));
    let store = realm.call("store_text", &json!({ "record": "a0" }))["text"].clone();
    let good = json!({
        "text": store,
        "expect": {
            "store": { "/tokens/refresh_token": "refresh:a0" },
            "stats": { "requests": 0 },
        },
    });
    assert_eq!(realm.call("finish", &good)["mismatches"], json!([]));
    let bad = json!({
        "text": null,
        "output": format!("oh no: {}", text_of(&realm, "access:a0")),
        "expect": { "store": {}, "stats": { "requests": 1 } },
    });
    let mismatches = &realm.call("finish", &bad)["mismatches"];
    assert_eq!(mismatches.as_array().map(Vec::len), Some(3), "{mismatches}");
    assert_eq!(realm.post("/control/finish", &json!({ "expect": { "x": 1 } })).0, 400);
}

#[test]
fn revocation_ends_a_login() {
    let (_issuer, realm) = realm_with(&json!({}));
    let token = text_of(&realm, "refresh:a0");
    let body = json!({ "token": token, "token_type_hint": "refresh_token" });
    assert_eq!(realm.post("/oauth/revoke", &body).0, 200);
    assert_eq!(live(&realm, "a0"), (false, false));
    assert_eq!(realm.stats()["revocations"], json!(["refresh:a0"]));
}

#[test]
fn a_device_signs_in_after_its_pending_polls() {
    let account = json!({ "account_id": "acct-x", "user_id": "user-x" });
    let (_issuer, realm) = realm_with(&json!({ "device_pending_polls": 1, "account": account }));
    let (_, device) = realm.post("/api/accounts/deviceauth/usercode", &json!({}));
    let poll = json!({ "device_auth_id": device["device_auth_id"], "user_code": "TEST-CODE" });
    assert_eq!(realm.post("/api/accounts/deviceauth/token", &poll).0, 403);
    let (status, approved) = realm.post("/api/accounts/deviceauth/token", &poll);
    assert_eq!(status, 200);
    let exchange = format!(
        "grant_type=authorization_code&code={}&code_verifier={}",
        approved["authorization_code"].as_str().expect("a code"),
        approved["code_verifier"].as_str().expect("a verifier"),
    );
    let redeem = || {
        let form = "application/x-www-form-urlencoded";
        realm.exchange("POST", "/oauth/token", form, "", &exchange).expect("a reply")
    };
    let granted: Value = serde_json::from_str(&redeem().body).expect("JSON");
    let id_token = claims(granted["id_token"].as_str().expect("an id token"));
    assert_eq!(id_token["https://api.openai.com/auth"]["chatgpt_user_id"], "user-x");
    assert_eq!(redeem().status, 400, "codes are used once too");
}

#[test]
fn a_browser_needs_the_verifier_of_its_challenge() {
    let (_issuer, realm) = realm_with(&json!({}));
    // The example of RFC 7636, appendix B.
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    for (verifier, expected) in [(verifier, 200), ("wrong", 400)] {
        let path = format!(
            "/oauth/authorize?state=s1&code_challenge={challenge}\
             &redirect_uri=http%3A%2F%2Flocalhost%3A1%2Fback"
        );
        let code = authorization_code(&realm, &path);
        let body = json!({
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
        });
        assert_eq!(realm.post("/oauth/token", &body).0, expected);
    }
}

#[test]
fn a_hundred_clients_are_served_at_once() {
    // Each has two open files here, and some machines grant a process 256.
    let (_issuer, realm) = realm_with(&json!({}));
    realm.run("hold", &json!({ "times": 100 }));
    let token = text_of(&realm, "refresh:a0");
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let (realm, token) = (realm.clone(), token.clone());
            std::thread::spawn(move || refresh(&realm, &token).0)
        })
        .collect();
    drop(realm.wait(&json!({ "held": 100 })));
    realm.run("release", &json!({}));
    let granted = clients
        .into_iter()
        .map(|client| client.join().expect("no panic"))
        .filter(|status| *status == 200);
    assert_eq!(granted.count(), 1);
    assert_eq!(realm.stats()["concurrent_presentations"], 99);
}

#[test]
fn the_program_ends_with_its_standard_input() {
    let issuer = IssuerProcess::spawn().expect("the issuer starts");
    drop(issuer.realm("").stats());
    drop(issuer);

    let mut program = Command::new(env!("CARGO_BIN_EXE_test-issuer"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = program.stdin.take().expect("piped");
    input.write_all(b"ignored\n").expect("it listens");
    drop(input);
    let mut line = String::new();
    let mut output = program.stdout.take().expect("piped");
    output.read_to_string(&mut line).expect("it ends");
    let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert!(ready["url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
    assert!(program.wait().expect("it has ended").success());
}

fn realm_with(config: &Value) -> (Issuer, Realm) {
    let issuer = Issuer::start().expect("the issuer starts");
    let start = json!({ "name": "test", "config": config, "logins": { "a": {} } });
    issuer.realm("").run("realms", &start);
    let realm = issuer.realm("test");
    (issuer, realm)
}

fn other_start(issuer: &Issuer) -> Value {
    issuer.realm("").call("realms", &json!({ "name": "other" }))
}

fn text_of(realm: &Realm, name: &str) -> String {
    let text = realm.call("store_text", &json!({ "json": name }));
    let quoted = text["text"].as_str().expect("a text");
    serde_json::from_str(quoted).expect("a JSON string")
}

fn raw_refresh(realm: &Realm, token: &str) -> std::io::Result<codex_auth_tests::issuer::Reply> {
    let body = json!({ "grant_type": "refresh_token", "refresh_token": token }).to_string();
    realm.exchange("POST", "/oauth/token", "application/json", "", &body)
}

fn try_refresh(realm: &Realm, token: &str) -> Option<(u16, Value)> {
    let reply = raw_refresh(realm, token).ok()?;
    Some((reply.status, serde_json::from_str(&reply.body).unwrap_or_default()))
}

fn refresh(realm: &Realm, token: &str) -> (u16, Value) {
    try_refresh(realm, token).expect("a reply")
}

fn code(reply: &(u16, Value)) -> &str {
    reply.1["error"]["code"].as_str().unwrap_or_default()
}

fn api_status(realm: &Realm, name: &str) -> u16 {
    let bearer = format!("authorization: Bearer {}\r\n", text_of(realm, name));
    let reply = realm.exchange("GET", "/api/me", "text/plain", &bearer, "");
    reply.expect("a reply").status
}

fn live(realm: &Realm, label: &str) -> (bool, bool) {
    let live = realm.call("live", &json!({ "label": label }));
    (live["refresh"] == true, live["access"] == true)
}

fn authorization_code(realm: &Realm, path: &str) -> String {
    let reply = realm.exchange("GET", path, "text/plain", "", "").expect("a reply");
    let query = reply.location().expect("a redirect");
    assert!(query.contains("state=s1"), "{query}");
    let code = query.split(['?', '&']).find_map(|part| part.strip_prefix("code="));
    code.expect("a code").to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWT");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64");
    serde_json::from_slice(&payload).expect("JSON")
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a whole number")
}

fn seconds_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}
