//! Many processes, one login: one redemption per rotation, and nobody is logged out.
//!
//! `cargo test` runs contenders in Rust. With the feature `bindings` also in Python and Node: then
//! `PYTHON` names an interpreter that has the package, and `NODE` (default `node`) runs the addon.

use codex_auth_tests::contender::{Contender, Language};
use codex_auth_tests::issuer::Issuer;
use serde_json::json;

/// Lets all contenders make their requests at once, first with a token that has expired, then
/// three times with one that the server has killed.
fn contend(policy: &str, languages: &[Language], processes: usize) {
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    realm.run(
        "reset",
        &json!({"policy": policy, "grant_latency_ms": 100, "refusal_latency_ms": 100}),
    );
    let login = realm.call("login", &json!({"name": "a", "access_age_s": 7200}));
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("auth.json"), login["text"].as_str().expect("a record"))
        .expect("written");

    let languages = languages.iter().copied().cycle();
    let mut contenders: Vec<_> = languages
        .take(processes)
        .map(|language| Contender::start(language, home.path(), &realm, &json!({})))
        .collect();
    for contender in &mut contenders {
        contender.wait_until_ready();
    }
    for rotations in 1..=4 {
        contenders.iter_mut().for_each(Contender::go);
        for contender in &mut contenders {
            let answer = contender.answer();
            assert_eq!(answer["status"], 200, "{:?}: {answer}", contender.language());
        }
        let stats = realm.stats();
        let redemptions = (&stats["requests"], &stats["grants"], &stats["refused"]);
        assert_eq!(redemptions, (&json!(rotations), &json!(rotations), &json!(0)), "{stats}");
        realm.run("kill_access", &json!({}));
    }
    let stored = std::fs::read_to_string(home.path().join("auth.json")).expect("a record");
    let live = realm.call("live", &json!({"text": stored}));
    assert_eq!(live["refresh"], true, "the stored login is good");
}

#[test]
fn g1_rust() {
    for policy in ["error", "revoke_family"] {
        for processes in [2, 8, 32] {
            contend(policy, &[Language::Rust], processes);
        }
    }
}

#[cfg(feature = "bindings")]
#[test]
fn g1_python() {
    for policy in ["error", "revoke_family"] {
        for processes in [2, 8, 32] {
            contend(policy, &[Language::Python], processes);
        }
    }
}

#[cfg(feature = "bindings")]
#[test]
fn g1_node() {
    for policy in ["error", "revoke_family"] {
        for processes in [2, 8, 32] {
            contend(policy, &[Language::Node], processes);
        }
    }
}

#[cfg(feature = "bindings")]
#[test]
fn g1_mixed() {
    for policy in ["error", "revoke_family"] {
        for processes in [3, 8, 32] {
            contend(policy, &[Language::Rust, Language::Python, Language::Node], processes);
        }
    }
}
