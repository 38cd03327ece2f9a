//! `watch`.

use std::os::unix::process::ExitStatusExt as _;

use serde_json::{Value, json};

use crate::scene::Scene;

/// Refreshes the login as a foreign program.
fn rotate(scene: &Scene) {
    let granted = scene.realm().call("rotate", &json!({"token": "a0"}));
    scene.store(granted["text"].as_str().expect("granted"));
}

#[test]
fn each_change_is_a_line_of_json() {
    let scene = Scene::signed_in();
    let mut watch = scene.start(scene.command(&["watch", "--json"]));
    let first = watch.json();
    assert_eq!((&first["version"], &first["event"]), (&json!(1), &json!("watching")));
    assert_eq!(first["login"]["account_id"], "acct-a");
    rotate(&scene);
    let adopted = watch.json();
    assert_eq!(adopted["event"], "adopted");
    assert!(adopted["login"]["expires_at"].as_str() > first["login"]["expires_at"].as_str());
    assert!(adopted["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{adopted}");
    std::fs::remove_file(scene.path("auth.json")).expect("removed");
    let gone = watch.json();
    assert_eq!((&gone["event"], &gone["login"]), (&json!("logged_out"), &Value::Null));
    let leaks = scene.realm().call("leaks", &json!({"text": format!("{first}{adopted}{gone}")}));
    assert_eq!(leaks["leaks"], json!([]));
    assert_eq!(scene.realm().stats()["requests"], 0);
}

#[test]
fn each_change_is_a_line_of_text() {
    let scene = Scene::new();
    let mut watch = scene.start(scene.command(&["watch"]));
    assert!(watch.line().ends_with("Z watching: no login\n"));
    let login = scene.realm().call("login", &json!({"name": "a"}));
    scene.store(login["text"].as_str().expect("a record"));
    let line = watch.line();
    let expected = "Z identity_changed: a@example.com, workspace acct-a, plan plus; the access";
    assert!(line.contains(expected), "{line}");
}

#[test]
fn it_changes_nothing() {
    // The login is due, and its store is watched by a program that may not refresh.
    let scene = Scene::with_login(&json!({"access_age_s": 3300}));
    let before = scene.stored();
    let mut watch = scene.start(scene.command(&["watch"]));
    assert!(watch.line().contains("watching"));
    watch.signal("TERM");
    assert_eq!(watch.end().signal(), Some(15));
    assert_eq!((scene.stored(), &scene.realm().stats()["requests"]), (before, &json!(0)));
}

#[test]
fn it_ends_without_a_word_when_nobody_reads_any_more() {
    let scene = Scene::signed_in();
    let mut watch = scene.start(scene.command(&["watch"]));
    assert!(watch.line().contains("watching"));
    watch.stop_reading();
    rotate(&scene);
    assert_eq!((watch.end().code(), watch.complaint()), (Some(0), String::new()));
}
