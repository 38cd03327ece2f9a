//! `status`: each thing that is not as it should be is named, with what to do.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use codex_auth_tests::privilege::{are_mounts_denied, unshared};
use serde_json::{Value, json};

use crate::scene::{Ended, Scene};

/// `status` on a machine whose Codex CLI locks.
fn status(scene: &Scene, arguments: &[&str]) -> Ended {
    with_codex_cli(scene, "codex-cli 0.171.0", arguments)
}

/// `status` on a machine whose Codex CLI answers so.
fn with_codex_cli(scene: &Scene, says: &str, arguments: &[&str]) -> Ended {
    let mut command = command_with_codex_cli(scene, says, arguments);
    scene.end(&mut command)
}

fn command_with_codex_cli(scene: &Scene, says: &str, arguments: &[&str]) -> Command {
    let programs = scene.path("programs");
    std::fs::create_dir_all(&programs).expect("a folder");
    let codex = programs.join("codex");
    std::fs::write(&codex, format!("#!/bin/sh\necho '{says}'\n")).expect("written");
    std::fs::set_permissions(&codex, PermissionsExt::from_mode(0o755)).expect("a program");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [programs].into_iter().chain(std::env::split_paths(&path));
    let mut command = scene.command(arguments);
    command.env("PATH", std::env::join_paths(path).expect("a path"));
    command
}

/// The problems in a report, each by its code; each says what to do.
fn problems(ended: &Ended) -> Vec<String> {
    let found = ended.json()["problems"].clone();
    let found = found.as_array().expect("a list").clone();
    for problem in &found {
        assert!(problem["what"].is_string() && problem["is_harmless"].is_boolean(), "{problem}");
    }
    found.iter().filter_map(|problem| problem["code"].as_str().map(str::to_owned)).collect()
}

/// Asserts that `status` ends with this code because of this problem, and that the text says so.
#[track_caller]
fn assert_found(scene: &Scene, arguments: &[&str], exit: i32, code: &str, said: &str) {
    let ended = status(scene, &[arguments, &["status", "--json"]].concat());
    assert_eq!((ended.code, problems(&ended)), (Some(exit), vec![code.to_owned()]), "{ended:?}");
    let ended = status(scene, &[arguments, &["status"]].concat());
    assert_eq!(ended.code, Some(exit), "{ended:?}");
    assert!(ended.stdout.contains(said), "{ended:?}");
}

#[test]
fn a_good_login_is_described_and_no_server_asked() {
    let scene = Scene::signed_in();
    scene.run(&["refresh"]).assert_done();
    scene.realm().run("reset", &json!({}));
    let ended = status(&scene, &["status"]);
    let text = ended.assert_done();
    for part in [
        "Login: a@example.com\n",
        "workspace      acct-a\n",
        "plan           plus\n",
        "access token   ends 2",
        "refreshed from ",
        "(codex-auth-sdk)\n",
        "nothing is known against it",
        "Store: ",
        "auth.json, mode 0600",
        "Codex CLI: 0.171.0\n",
        "The login works.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report = status(&scene, &["status", "--json"]).json();
    assert_eq!((&report["version"], &report["problems"]), (&json!(1), &json!([])));
    assert_eq!((&report["codex_cli"], &report["server"]), (&json!("0.171.0"), &Value::Null));
    let login = &report["description"]["login"];
    assert_eq!((&login["account_id"], &login["is_expired"]), (&json!("acct-a"), &json!(false)));
    assert_eq!(login["ledger"]["refreshed_by"]["name"], "codex-auth-sdk");
    assert!(!report.to_string().contains("example.com"), "{report}");
    let stats = scene.realm().stats();
    assert_eq!((&stats["requests"], &stats["bad_requests"]), (&json!(0), &json!(0)));
}

#[test]
fn a_login_that_is_not_there_or_is_none_is_a_problem() {
    let scene = Scene::new();
    assert_found(&scene, &[], 3, "login_required", "codex-auth-sdk login");
    scene.store("no login");
    assert_found(&scene, &[], 1, "store_corrupt", "auth.json");
}

#[test]
fn a_refresh_token_that_the_server_refuses_is_a_problem() {
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    scene.realm().run("expire_refresh", &json!({"token": "a0"}));
    scene.run(&["token"]).assert_failed(3, "");
    let requests = scene.realm().stats()["requests"].clone();
    assert_found(&scene, &[], 3, "refresh_token_refused", "refuses the refresh token (expired)");
    assert_eq!(scene.realm().stats()["requests"], requests);
}

#[test]
fn a_spent_token_that_was_put_back_is_a_problem() {
    let scene = Scene::signed_in();
    let before = scene.stored();
    scene.run(&["refresh"]).assert_done();
    scene.store(&before.to_string());
    assert_found(&scene, &[], 3, "refresh_token_spent", "still works, and ends");
}

#[test]
fn a_copy_in_another_home_of_the_user_is_a_problem_before_and_after_one_was_refreshed() {
    let scene = Scene::signed_in();
    let user = scene.path("user");
    let homes = [".codex-work", ".codex-link", ".codex-other", "codex"].map(|name| user.join(name));
    for home in &homes {
        std::fs::create_dir_all(home).expect("a folder");
    }
    let [copy, link, other, elsewhere] = homes.map(|home| home.join("auth.json"));
    for copy in [&copy, &elsewhere] {
        std::fs::copy(scene.path("auth.json"), copy).expect("copied");
    }
    symlink(scene.path("auth.json"), link).expect("linked");
    let login = scene.realm().call("login", &json!({"name": "b"}));
    std::fs::write(other, login["text"].as_str().expect("a record")).expect("written");
    for refreshed in ["neither", "this one"] {
        let mut command =
            command_with_codex_cli(&scene, "codex-cli 0.171.0", &["status", "--json"]);
        let ended = scene.end(command.env("HOME", &user));
        let found = (ended.code, problems(&ended));
        assert_eq!(found, (Some(1), vec!["login_copied".to_owned()]), "{refreshed}: {ended:?}");
        let what = ended.json()["problems"][0]["what"].to_string();
        assert!(what.contains(&copy.display().to_string()), "{what}");
        scene.run(&["refresh"]).assert_done();
    }
}

#[test]
fn what_others_may_read_or_write_is_a_problem() {
    let scene = Scene::signed_in();
    let file = scene.path("auth.json");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("changed");
    assert_found(&scene, &[], 1, "file_not_private", "chmod o= ");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("changed");
    std::fs::set_permissions(scene.path(""), PermissionsExt::from_mode(0o777)).expect("changed");
    let ended = status(&scene, &["status", "--json"]);
    assert_eq!((ended.code, problems(&ended)), (Some(1), vec!["folder_not_private".to_owned()]));
}

#[cfg(target_os = "linux")]
#[test]
#[expect(clippy::disallowed_methods, reason = "a test never forks between two looks")]
fn the_holder_of_a_lock_is_named() {
    let scene = Scene::signed_in();
    scene.run(&["refresh"]).assert_done();
    let lock = File::open(scene.path(".codex-auth-sdk.lock")).expect("there");
    lock.lock().expect("free");
    let ended = status(&scene, &["status"]);
    let holder = format!(".codex-auth-sdk.lock is held by process {}", std::process::id());
    assert!(ended.assert_done().contains(&holder), "{ended:?}");
}

#[test]
fn a_clock_that_is_wrong_is_found_by_asking_the_server() {
    let scene = Scene::signed_in();
    assert_eq!(status(&scene, &["status", "--check"]).code, Some(0));
    scene.realm().run("configure", &json!({"clock_offset_s": -7200}));
    assert_eq!(status(&scene, &["status"]).code, Some(0), "it is not asked");
    let ended = status(&scene, &["status", "--check", "--json"]);
    assert_eq!((ended.code, problems(&ended)), (Some(1), vec!["clock_wrong".to_owned()]));
    let ahead = ended.json()["server"]["clock_ahead_seconds"].clone();
    assert!(ahead.as_i64().is_some_and(|ahead| (7190..7210).contains(&ahead)), "{ahead}");
    let ended = status(&scene, &["status", "--check"]);
    assert!(ended.stdout.contains("119 min ahead of") || ended.stdout.contains("2 h ahead of"));
    assert_eq!(scene.realm().stats()["requests"], 0);
}

#[test]
fn a_server_that_cannot_be_reached_is_a_problem_where_it_is_asked() {
    let scene = Scene::signed_in();
    let unreachable = |arguments: &[&str]| {
        let mut command = command_with_codex_cli(&scene, "codex-cli 0.171.0", arguments);
        scene.end(command.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", "http://127.0.0.1:9/oauth/token"))
    };
    assert_eq!(unreachable(&["status"]).code, Some(0));
    let ended = unreachable(&["status", "--check", "--json"]);
    assert_eq!((ended.code, problems(&ended)), (Some(4), vec!["server_unreachable".to_owned()]));
    assert_eq!(ended.json()["server"]["error"]["code"], "login_transient");
    assert!(unreachable(&["status", "--check"]).stdout.contains("127.0.0.1"));
}

#[test]
fn a_codex_cli_that_does_not_lock_is_a_problem() {
    let scene = Scene::signed_in();
    let ended = with_codex_cli(&scene, "codex-cli 0.168.0", &["status", "--json"]);
    assert_eq!((ended.code, problems(&ended)), (Some(1), vec!["codex_cli_too_old".to_owned()]));
    let ended = with_codex_cli(&scene, "what?", &["status", "--json"]);
    assert_eq!((ended.code, &ended.json()["codex_cli"]), (Some(0), &Value::Null));
}

#[test]
fn a_keyring_that_does_not_answer_is_a_problem() {
    let scene = Scene::new();
    let arguments = ["--store", "keyring", "status", "--json"];
    let mut command = command_with_codex_cli(&scene, "codex-cli 0.171.0", &arguments);
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/not/there");
    let ended = scene.end(&mut command);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(problems(&ended).contains(&"keyring_unavailable".to_owned()), "{ended:?}");
}

#[test]
fn a_mounted_file_that_was_replaced_is_a_problem() {
    if are_mounts_denied() {
        return;
    }
    let scene = Scene::signed_in();
    let command = command_with_codex_cli(&scene, "codex-cli 0.171.0", &["status", "--json"]);
    let script = "cd \"$CODEX_HOME\" && cp auth.json host.json && mount --bind host.json auth.json \
                  && rm host.json && exec \"$@\"";
    let mut mounted = unshared();
    mounted.args(["sh", "-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    mounted.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = scene.end(&mut mounted);
    assert_eq!((ended.code, problems(&ended)), (Some(1), vec!["mount_replaced".to_owned()]));
}
