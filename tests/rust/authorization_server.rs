//! The whole recovery against an authorization server that others wrote and use.

use std::fs;
use std::path::Path;

use chrono::{TimeDelta, Utc};
use codex_auth_tests::contender::{Contender, Language};
use codex_auth_tests::oidc_provider;
use serde_json::{Value, json};

const PROCESSES: usize = 32;

/// A burst: an API that rejects more tokens before their time is left alone.
const ROTATIONS: u64 = 4;

/// Stores `tokens` as if they had been granted an hour ago.
fn store(file: &Path, tokens: &Value) {
    let last_refresh = Utc::now() - TimeDelta::hours(1);
    let record = json!({"auth_mode": "chatgpt", "tokens": tokens, "last_refresh": last_refresh.to_rfc3339()});
    fs::write(file, record.to_string()).expect("written");
}

fn stored_tokens(file: &Path) -> Value {
    let text = fs::read_to_string(file).expect("a record");
    serde_json::from_str::<Value>(&text).expect("JSON")["tokens"].take()
}

#[test]
fn g1_a_grant_outlives_four_rotations_among_32_processes_of_three_languages() {
    let server = oidc_provider::start();
    let server = server.realm("");
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("auth.json");
    let reply = server.call("login", &json!({"name": "somebody"}));
    let tokens = ["id_token", "access_token", "refresh_token"];
    store(&file, &tokens.map(|name| (name, reply[name].clone())).into_iter().collect());

    // The server has one thread for 32 processes: on a busy machine it may take long.
    let options = json!({
        "client_id": oidc_provider::CLIENT_ID, "token_encoding": "form",
        "request_timeout": 100, "refresh_deadline": 120, "lock_timeout": 150,
    });
    let languages = Language::ALL.into_iter().cycle().take(PROCESSES);
    let mut contenders: Vec<_> = languages
        .map(|language| Contender::start(language, home.path(), &server, &options))
        .collect();
    contenders.iter_mut().for_each(Contender::wait_until_ready);

    let first = server.stats();
    for rotation in 1..=ROTATIONS {
        server.run("kill_access", &json!({}));
        contenders.iter_mut().for_each(Contender::go);
        for contender in &mut contenders {
            let answer = contender.answer();
            let outcome = (&answer["status"], &answer["unauthorized"]);
            let language = contender.language();
            assert_eq!(
                outcome,
                (&json!(200), &json!(1)),
                "{language:?}: {answer}, {}",
                server.stats()
            );
        }
        let since = |count: &str| first[count].as_u64().map(|count| count + rotation);
        let expected = json!({
            "consumed": since("consumed"), "saved": since("saved"), "revoked": 0, "refused": [],
        });
        assert_eq!(server.stats(), expected, "rotation {rotation}");
        store(&file, &stored_tokens(&file));
    }
    let live = server.call("live", &stored_tokens(&file));
    assert_eq!(live["refresh"], true, "the stored login is good");
}
