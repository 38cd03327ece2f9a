//! The command behaves alike however it is launched: as the program of the Rust package, by Python
//! and by Node. Signals end it by their default meaning, but never over an unsaved pair.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use codex_auth_tests::program;
use serde_json::json;

use crate::scene::Scene;

fn rust() -> Command {
    Command::new(program::beside_this_one("codex-auth-sdk").expect("it has been built"))
}

fn python() -> Command {
    let mut python = program::python();
    python.args(["-m", "codex_auth_sdk"]);
    python
}

fn node() -> Command {
    let mut node = program::node();
    node.arg(program::file("../bindings-node/dist/command.js"));
    node
}

fn launch(launcher: fn() -> Command) {
    prints_and_exits(launcher);
    a_signal_ends_it(launcher);
    a_signal_does_not_end_it_over_an_unsaved_pair(launcher);
}

fn prints_and_exits(launcher: fn() -> Command) {
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    let ended = scene.end(&mut scene.launched(launcher(), &["token"]));
    let token = scene.stored()["tokens"]["access_token"].as_str().map(|token| format!("{token}\n"));
    assert_eq!(Some(ended.assert_done()), token.as_deref());
    assert_eq!(scene.named()["tokens"]["refresh_token"], "refresh:a1");
    let ended = scene.end(&mut scene.launched(launcher(), &["tokens"]));
    ended.assert_failed(2, "Usage: codex-auth-sdk ");
    let scene = Scene::new();
    scene.end(&mut scene.launched(launcher(), &["refresh"])).assert_failed(3, "no login is stored");
}

fn a_signal_ends_it(launcher: fn() -> Command) {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let scene = Scene::signed_in();
        let mut watch = scene.start(scene.launched(launcher(), &["watch"]));
        assert!(watch.line().contains("watching"));
        watch.signal(name);
        assert_eq!(watch.end().signal(), Some(number), "{name}");
    }
    // Also while it waits for stdin.
    let scene = Scene::new();
    let mut command = scene.launched(launcher(), &["login", "--api-key-stdin"]);
    command.stdin(std::process::Stdio::piped());
    let mut waiting = scene.start(command);
    waiting.wait_for_reader();
    waiting.signal("INT");
    assert_eq!(waiting.end().signal(), Some(2));
}

fn a_signal_does_not_end_it_over_an_unsaved_pair(launcher: fn() -> Command) {
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    scene.realm().run("hold", &json!({"at": "reply"}));
    let mut token = scene.start(scene.launched(launcher(), &["token"]));
    drop(scene.realm().wait(&json!({"held": 1})));
    token.signal("INT");
    let said = token.complaint();
    assert!(said.starts_with("Waiting until the refreshed tokens are saved"), "{said}");
    scene.realm().run("release", &json!({}));
    assert_eq!((token.end().signal(), token.line()), (Some(2), String::new()));
    assert_eq!(scene.named()["tokens"]["refresh_token"], "refresh:a1");
    // The second one ends it at once.
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    scene.realm().run("hold", &json!({"at": "reply"}));
    let mut token = scene.start(scene.launched(launcher(), &["token"]));
    drop(scene.realm().wait(&json!({"held": 1})));
    token.signal("INT");
    token.signal("TERM");
    assert!(token.end().signal().is_some());
    assert_eq!(scene.named()["tokens"]["refresh_token"], "refresh:a0");
}

/// What `nohup` has started goes on after its terminal is gone.
#[test]
fn an_ignored_signal_stays_ignored() {
    let scene = Scene::new();
    let started = scene.command(&["watch"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(started.get_program());
    command.args(started.get_args()).env("CODEX_HOME", scene.path(""));
    let mut watch = scene.start(command);
    assert!(watch.line().contains("watching"));
    watch.signal("HUP");
    scene.store(r#"{"OPENAI_API_KEY": "sk-test"}"#);
    assert!(watch.line().contains("identity_changed"));
    watch.signal("TERM");
    assert_eq!(watch.end().signal(), Some(15));
}

#[test]
fn g4_in_rust() {
    launch(rust);
}

#[test]
fn g4_by_python() {
    launch(python);
}

#[test]
fn g4_by_node() {
    launch(node);
}
