//! The guardians of the examples keep a login fresh, and end when they are told to. Needs the
//! bindings; see `contention.rs`.

use std::process::Command;

use codex_auth_tests::guarded::Guardian;
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::program;
use codex_auth_tests::watchdog::Watchdog;
use serde_json::json;
use tempfile::TempDir;

/// A folder for the login `a`.
struct Place {
    _issuer: Issuer,
    realm: Realm,
    home: TempDir,
}

impl Place {
    fn new() -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let home = tempfile::tempdir().expect("a folder");
        Self { realm: issuer.realm(""), _issuer: issuer, home }
    }

    /// Signs in with an access token that ends in so many seconds.
    fn sign_in(&self, seconds: u64) {
        let life = (300 + seconds) * 1000;
        let login = self.realm.call("login", &json!({"name": "a", "access_ttl_ms": life}));
        let written = self.home.path().join("auth.json.new");
        std::fs::write(&written, login["text"].as_str().expect("a record")).expect("written");
        std::fs::rename(&written, self.home.path().join("auth.json")).expect("renamed");
    }

    fn guardian(&self, command: Command) -> Guardian {
        Guardian::start(command, self.home.path(), &self.realm)
    }

    fn assert_rotated_once(&self) {
        let stored = std::fs::read_to_string(self.home.path().join("auth.json"));
        let live = self.realm.call("live", &json!({"text": stored.expect("a record")}));
        assert_eq!((&live["label"], &live["refresh"]), (&json!("a1"), &json!(true)), "{live}");
    }
}

fn guard(command: fn() -> Command) {
    let _watchdog = Watchdog::over("a guardian");
    refreshes_what_is_due(command());
    saves_what_is_in_flight(command());
    waits_for_a_login(command());
}

fn refreshes_what_is_due(command: Command) {
    let place = Place::new();
    place.sign_in(60);
    let mut guardian = place.guardian(command);
    guardian.wait_for("refreshed");
    place.assert_rotated_once();
    guardian.signal("INT");
    assert_eq!(guardian.end().code(), Some(0));
}

fn saves_what_is_in_flight(command: Command) {
    let place = Place::new();
    place.sign_in(60);
    place.realm.run("hold", &json!({"at": "reply"}));
    let mut guardian = place.guardian(command);
    drop(place.realm.wait(&json!({"held": 1})));
    guardian.signal("TERM");
    place.realm.run("release", &json!({}));
    assert_eq!(guardian.end().code(), Some(0));
    place.assert_rotated_once();
}

fn waits_for_a_login(command: Command) {
    let place = Place::new();
    let mut guardian = place.guardian(command);
    place.sign_in(3600);
    guardian.wait_for("identity_changed");
    guardian.signal("TERM");
    assert_eq!(guardian.end().code(), Some(0));
}

fn script(mut interpreter: Command, path: &str) -> Command {
    interpreter.arg(program::file("../examples").join(path));
    interpreter
}

#[test]
fn rust() {
    guard(|| Command::new(program::beside_this_one("guardian").expect("it has been built")));
}

#[test]
fn python() {
    guard(|| script(program::python(), "python/guardian.py"));
}

#[test]
fn node() {
    guard(|| script(program::node(), "node/guardian.mjs"));
}
