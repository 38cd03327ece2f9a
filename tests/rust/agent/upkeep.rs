//! The agent keeps the login fresh by itself.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use codex_auth_tests::privilege::is_denied;
use serde_json::json;

use crate::scene::{Agent, Scene};

/// A login whose access token ends in a minute, of six.
fn scene() -> Scene {
    Scene::with_login(&json!({"access_ttl_ms": 360_000}))
}

fn assert_rotated_once(scene: &Scene) {
    let live = scene.realm().call("live", &json!({"text": scene.stored().to_string()}));
    assert_eq!((&live["label"], &live["refresh"]), (&json!("a1"), &json!(true)), "{live}");
}

#[test]
fn what_is_due_is_refreshed_without_any_request() {
    let scene = scene();
    let mut agent = scene.agent(&[]);
    agent.wait_for("refreshed");
    assert_rotated_once(&scene);
}

#[test]
fn a_token_is_refreshed_as_early_as_it_is_asked_for() {
    let scene = Scene::with_login(&json!({"access_ttl_ms": 3_600_000}));
    let mut agent = scene.agent(&["--refresh-window", "59m"]);
    agent.wait_for("refreshed");
    assert_rotated_once(&scene);
}

#[test]
fn g4_a_signal_does_not_end_it_over_an_unsaved_pair() {
    let scene = scene();
    scene.realm().run("hold", &json!({"at": "reply"}));
    let agent = scene.agent(&[]);
    drop(scene.realm().wait(&json!({"held": 1})));
    agent.signal("TERM");
    scene.realm().run("release", &json!({}));
    assert_eq!(agent.end().signal(), Some(15));
    assert_rotated_once(&scene);
}

/// To the first process of a container, a signal does nothing by default.
#[test]
fn as_the_first_process_of_a_container_it_ends_by_a_signal_too() {
    let unshare = |command: &Command| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--"]);
        unshare.arg(command.get_program()).args(command.get_args());
        unshare
    };
    let remedy = "let users make namespaces";
    if is_denied("process namespaces", remedy, &mut unshare(&Command::new("true"))) {
        return;
    }
    let scene = Scene::signed_in();
    let mut command = scene.command(&["agent", "--socket"]);
    command.arg(scene.socket());
    let mut command = unshare(&command);
    command.env("CODEX_HOME", scene.path("home"));
    let mut agent = Agent::start(command);
    agent.wait_for("watching");
    agent.signal_child("TERM");
    assert_eq!(agent.end().code(), Some(128 + 15));
    assert!(!scene.socket().exists());
}

#[tokio::test]
async fn an_agent_whose_output_no_program_reads_goes_on() {
    let scene = Scene::signed_in();
    let mut agent = scene.agent(&[]);
    agent.stop_reading();
    for name in ["b", "c"] {
        let path =
            format!("/v1/token?after={}", scene.get("/v1/token").await.text_of("/generation"));
        scene.sign_in(&json!({"name": name}));
        assert_eq!(scene.get(&path).await.text_of("/user_id"), format!("user-{name}"));
    }
    agent.signal("TERM");
    assert_eq!(agent.end().signal(), Some(15));
}
