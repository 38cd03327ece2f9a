//! The keyring and auto stores in a real desktop session: gnome-keyring, and processes in three
//! languages.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthStorage, AutoStorage, KeyringStorage, conformance};
use codex_auth_tests::contender::{Contender, Language};
use codex_auth_tests::issuer::Issuer;
use codex_auth_tests::session_keyring::Desk;
use serde_json::json;

const LANGUAGES: &[Language] =
    if cfg!(feature = "bindings") { &Language::ALL } else { &[Language::Rust] };

#[test]
fn both_stores_conform() {
    let Some(desk) = Desk::new() else { return };
    run_in(&desk, "conformance_of_this_session");
}

/// Runs an ignored test in a process of its own, which the session's variables reach.
fn run_in(desk: &Desk, test: &str) {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    desk.session.enter(&mut command);
    let output = command.env("TEST_HOME", desk.home.path()).output().expect("started");
    let [said, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
}

#[tokio::test]
#[ignore = "run by both_stores_conform"]
async fn conformance_of_this_session() {
    let home = std::env::var_os("TEST_HOME").expect("set");
    let keyring = codex_auth_sdk::storage::system_keyring;
    let environment = Environment::default;
    conformance::run(|| -> Arc<dyn AuthStorage> {
        Arc::new(KeyringStorage::new(&home, keyring(), environment()))
    })
    .await;
    conformance::run(|| -> Arc<dyn AuthStorage> {
        Arc::new(AutoStorage::new(&home, keyring(), environment()))
    })
    .await;
}

#[test]
fn g5_a_locked_keyring_is_not_ready_for_a_new_item_and_auto_keeps_the_file() {
    let Some(desk) = Desk::new() else { return };
    desk.sign_in("a");
    desk.session.lock();
    run_in(&desk, "readiness_in_this_locked_session");
    assert_eq!(desk.request(Language::Rust, "auto")["status"], 200);
    let text = std::fs::read_to_string(desk.file()).expect("it is there");
    let live = desk.realm.call("live", &json!({"text": text}));
    assert_eq!(live["refresh"], true, "what it was redeemed for is saved");
    assert_eq!(desk.realm.stats()["requests"], 1);
}

#[tokio::test]
#[ignore = "run by g5_a_locked_keyring_is_not_ready_for_a_new_item_and_auto_keeps_the_file"]
async fn readiness_in_this_locked_session() {
    let home = std::env::var_os("TEST_HOME").expect("set");
    let keyring = codex_auth_sdk::storage::system_keyring();
    let store = KeyringStorage::new(home, keyring, Environment::default());
    assert!(store.load().await.expect("there is no item").record.is_none());
    assert_eq!(store.ready(100).await.expect_err("locked").code(), "keyring_locked");
}

#[test]
fn g1_sixteen_processes_refresh_one_login_in_the_keyring() {
    let Some(desk) = Desk::new() else { return };
    desk.sign_in("a");
    assert_eq!(
        desk.request(Language::Rust, "auto")["status"],
        200,
        "the file moves to the keyring"
    );
    assert!(!desk.file().exists());
    desk.realm.run("kill_access", &json!({}));
    sixteen_requests(&desk, "keyring");
    let stats = desk.realm.stats();
    assert_eq!((&stats["grants"], &stats["refused"]), (&json!(2), &json!(0)), "{stats}");
    assert!(desk.in_keyring().contains(&"refresh:a2".to_owned()));
}

#[test]
fn g1_sixteen_processes_move_one_login_to_the_keyring_and_nobody_is_logged_out() {
    let Some(desk) = Desk::new() else { return };
    desk.sign_in("a");
    sixteen_requests(&desk, "auto");
    let stats = desk.realm.stats();
    assert_eq!((&stats["grants"], &stats["refused"]), (&json!(1), &json!(0)), "{stats}");
    assert!(desk.in_keyring().contains(&"refresh:a1".to_owned()));
    // A save that the keyring answered late is in the file too, until the next one.
    desk.realm.run("kill_access", &json!({}));
    assert_eq!(desk.request(Language::Rust, "auto")["status"], 200);
    assert!(desk.in_keyring().contains(&"refresh:a2".to_owned()));
    assert!(!desk.file().exists());
}

/// Sixteen processes make a request at once, and it is answered.
fn sixteen_requests(desk: &Desk, store: &str) {
    let languages = LANGUAGES.iter().copied().cycle().take(16);
    let mut contenders: Vec<_> =
        languages.map(|language| desk.contender(language, store)).collect();
    contenders.iter_mut().for_each(Contender::wait_until_ready);
    contenders.iter_mut().for_each(Contender::go);
    for contender in &mut contenders {
        assert_eq!(contender.answer()["status"], 200, "{:?}", contender.language());
    }
}

#[test]
fn g4_a_keyring_that_is_killed_and_restarted_in_the_middle_of_a_save_loses_nothing() {
    let Some(mut desk) = Desk::new() else { return };
    desk.sign_in("a");
    assert_eq!(desk.request(Language::Rust, "auto")["status"], 200);
    for language in LANGUAGES {
        let mut contender = desk.contender(*language, "keyring");
        contender.wait_until_ready();
        desk.realm.run("kill_access", &json!({}));
        desk.realm.run("hold", &json!({"at": "reply"}));
        contender.go();
        drop(desk.realm.wait(&json!({"held": 1})));
        desk.session.kill_daemon();
        desk.realm.run("release", &json!({}));
        assert_eq!(contender.answer()["status"], 200, "the new tokens are used: {language:?}");
        desk.session.start_daemon();
        // Its exit waits for the save.
        assert!(contender.end().success());
        assert!(desk.is_live(), "and saved: {language:?}");
    }
    assert_eq!(desk.realm.stats()["max_redemptions"], 1);
}

#[test]
fn a_stopped_keyring_is_a_clear_error_and_spends_nothing() {
    let Some(desk) = Desk::new() else { return };
    desk.sign_in("a");
    assert_eq!(desk.request(Language::Rust, "auto")["status"], 200);
    desk.realm.run("kill_access", &json!({}));
    desk.session.pause_daemon();
    let answer = desk.request(Language::Rust, "keyring");
    desk.session.resume_daemon();
    assert_eq!(answer["error"], "keyring_unavailable");
    assert_eq!(desk.realm.stats()["requests"], 1);
    assert_eq!(desk.request(Language::Rust, "keyring")["status"], 200, "it answers again");
}

#[test]
#[expect(clippy::print_stderr, reason = "the times are to be seen")]
fn without_a_session_auto_uses_the_file_and_the_keyring_fails_clearly() {
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    for language in LANGUAGES {
        let home = tempfile::tempdir().expect("a folder");
        let login = realm.call("login", &json!({"name": language.name(), "access_age_s": 7200}));
        let text = login["text"].as_str().expect("a record");
        std::fs::write(home.path().join("auth.json"), text).expect("written");
        for (store, expected) in [
            ("file", json!([true, null])),
            ("auto", json!([true, null])),
            ("keyring", json!([null, "keyring_unavailable"])),
        ] {
            let mut command = language.command();
            command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", home.path());
            let options = json!({"store": store});
            let start = Instant::now();
            let mut contender =
                Contender::start_by(command, *language, home.path(), &realm, &options);
            let answer = contender.answer();
            eprintln!("{language:?} answers after {:?} with the store {store}", start.elapsed());
            assert_eq!(json!([answer["ready"], answer["error"]]), expected, "{language:?}");
            if answer["ready"] == true {
                contender.go();
                assert_eq!(contender.answer()["status"], 200, "{language:?} with {store}");
                realm.run("kill_access", &json!({}));
            }
        }
    }
}
