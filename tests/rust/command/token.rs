//! `token` and `refresh`.

#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};

#[cfg(target_os = "linux")]
use codex_auth_tests::privilege::is_tracing_denied;
use serde_json::{Value, json};

use crate::scene::Scene;

/// What `token` prints for the stored login.
fn line(scene: &Scene) -> String {
    format!("{}\n", scene.stored()["tokens"]["access_token"].as_str().expect("a token"))
}

fn requests(scene: &Scene) -> Value {
    scene.realm().stats()["requests"].clone()
}

#[test]
fn a_good_token_is_the_whole_output_and_costs_no_request() {
    let scene = Scene::signed_in();
    assert_eq!(scene.run(&["token"]).assert_done(), line(&scene));
    assert_eq!(requests(&scene), 0);
}

#[test]
fn a_token_that_has_ended_or_soon_will_is_refreshed_first() {
    // Of an hour: at its end, and in the last ten minutes.
    for age in [3700, 3300] {
        let scene = Scene::with_login(&json!({"access_age_s": age}));
        let before = line(&scene);
        let ended = scene.run(&["token"]);
        assert_eq!(ended.assert_done(), line(&scene));
        assert_ne!(ended.stdout, before);
        assert_eq!(scene.named()["tokens"]["refresh_token"], "refresh:a1");
        assert_eq!(requests(&scene), 1);
    }
}

#[test]
fn a_token_may_be_asked_for_that_lasts() {
    // 20 minutes are left.
    let scene = Scene::with_login(&json!({"access_age_s": 2400}));
    scene.run(&["token", "--min-valid", "15m"]).assert_done();
    assert_eq!(requests(&scene), 0);
    scene.run(&["token", "--min-valid", "30m"]).assert_done();
    assert_eq!(requests(&scene), 1);
    // No token lasts so long, and one that was just granted is not replaced for that.
    let ended = scene.run(&["token", "--min-valid", "2h"]);
    ended.assert_failed(0, "sooner than the 2 h that --min-valid asks for");
    assert_eq!((ended.stdout, requests(&scene)), (line(&scene), json!(1)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_refreshed_token_is_printed_before_it_can_be_saved() {
    if is_tracing_denied() {
        return;
    }
    // 20 minutes are left.
    let scene = Scene::with_login(&json!({"access_age_s": 2400}));
    let old = line(&scene);
    let token = scene.command(&["token", "--min-valid", "30m"]);
    let mut traced = Command::new("strace");
    let renames = "rename,renameat,renameat2";
    traced.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={renames}")]);
    traced.args(["-e", &format!("inject={renames}:error=EIO"), "--"]);
    traced.arg(token.get_program()).args(token.get_args()).stdin(Stdio::null());
    traced.envs(token.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut token = scene.start(traced);
    let new = token.line();
    let printed = scene.realm().call("leaks", &json!({ "text": new }));
    assert_eq!((&printed["leaks"], line(&scene)), (&json!(["access:a1"]), old));
}

#[test]
fn a_token_that_works_is_printed_where_its_refresh_fails() {
    let scene = Scene::with_login(&json!({"access_age_s": 3300}));
    scene.realm().run("faults", &json!({"kind": "status", "status": 503, "forever": true}));
    let ended = scene.run(&["token"]);
    ended.assert_failed(0, "warning: the login could not be refreshed: ");
    assert_eq!(ended.stdout, line(&scene));
}

#[test]
fn json_says_when_the_token_ends_and_whose_it_is() {
    let scene = Scene::signed_in();
    let ended = scene.run(&["token", "--json"]);
    let mut found = serde_json::from_str::<Value>(ended.assert_done()).expect("JSON");
    let token = found["access_token"].take();
    assert_eq!(token, scene.stored()["tokens"]["access_token"]);
    let end = found["expires_at"].take();
    assert!(end.as_str().is_some_and(|end| end.ends_with('Z')), "{end}");
    let expected = json!({
        "version": 1, "access_token": null, "mode": "chatgpt", "account_id": "acct-a",
        "user_id": "user-a", "email": "a@example.com", "plan_type": "plus", "is_fedramp": false,
        "expires_at": null,
    });
    assert_eq!(found, expected);
}

#[test]
fn the_exit_code_says_that_the_user_must_sign_in() {
    let scene = Scene::new();
    scene.run(&["token"]).assert_failed(3, "no login is stored");
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    scene.realm().run("expire_refresh", &json!({"token": "a0"}));
    let ended = scene.run(&["token", "--json"]);
    ended.assert_failed(3, "codex-auth-sdk login");
    let error = &ended.json()["error"];
    assert_eq!(error["code"], "refresh_token_expired");
    assert_eq!((&error["reason"], &error["is_transient"]), (&json!("expired"), &json!(false)));
    assert_eq!(ended.json()["version"], 1);
}

#[test]
fn the_exit_code_says_that_it_may_work_later() {
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    let fault = json!({
        "kind": "status", "status": 503, "forever": true, "retry_after": {"seconds": 200},
    });
    scene.realm().run("faults", &fault);
    let ended = scene.run(&["token", "--json"]);
    ended.assert_failed(4, "503");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    let error = &ended.json()["error"];
    assert_eq!(
        (&error["code"], &error["is_transient"]),
        (&json!("refresh_transient"), &json!(true))
    );
    assert!(error["retry_after_seconds"].as_f64().is_some_and(|wait| wait > 100.0), "{error}");
}

#[test]
fn the_exit_code_says_that_it_was_used_wrongly() {
    let scene = Scene::signed_in();
    for arguments in [
        &[][..],
        &["tokens"],
        &["token", "--min-valid", "soon"],
        &["--store", "ephemeral", "token"],
        &["--codex-home", "/not/there", "token"],
        &["login", "--device", "--browser"],
        &["export"],
    ] {
        let ended = scene.run(arguments);
        ended.assert_failed(2, "");
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{ended:?}");
    }
}

#[test]
fn a_file_that_holds_no_login_is_a_failure() {
    let scene = Scene::new();
    scene.store("{\"tokens\": ");
    scene.run(&["token"]).assert_failed(1, "auth.json");
}

#[test]
fn an_api_key_is_printed_and_not_refreshed() {
    let scene = Scene::new();
    scene.store(r#"{"OPENAI_API_KEY": "sk-test"}"#);
    assert_eq!(scene.run(&["token"]).assert_done(), "sk-test\n");
    let ended = scene.run(&["refresh"]);
    ended.assert_failed(1, "not refreshed");
    assert!(!ended.stderr.contains("sk-test"), "{ended:?}");
}

#[test]
fn a_refresh_replaces_a_token_that_has_not_ended() {
    let scene = Scene::signed_in();
    let ended = scene.run(&["refresh"]);
    let said = ended.assert_done();
    assert!(said.starts_with("Refreshed: a@example.com, workspace acct-a, plan plus"), "{said}");
    assert_eq!(scene.named()["tokens"]["refresh_token"], "refresh:a1");
    Scene::new().run(&["refresh"]).assert_failed(3, "no login is stored");
}

#[test]
fn refreshes_in_a_loop_come_to_an_end() {
    let scene = Scene::signed_in();
    let ended = (0..10).map(|_| scene.run(&["refresh"])).find(|ended| ended.code != Some(0));
    ended.expect("refused").assert_failed(4, "try again in some minutes");
}

#[test]
fn what_is_done_is_told_where_it_is_asked_for() {
    let scene = Scene::signed_in();
    let ended = scene.run(&["-v", "refresh"]);
    assert!(ended.stderr.contains("info: codex_auth.redemption (outcome: granted, "), "{ended:?}");
    assert!(!ended.stderr.contains("debug: "), "{ended:?}");
    scene.run(&["refresh"]).assert_done();
}
