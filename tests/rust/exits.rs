//! However a program in Rust ends on its own account, a rotated pair is saved first.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::program;
use codex_auth_tests::watchdog::Watchdog;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A login, and an issuer that holds its replies.
struct World {
    _watchdog: Watchdog,
    _issuer: Issuer,
    realm: Realm,
    home: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self::with(&json!({"name": "a"}));
        world.realm.run("hold", &json!({"at": "reply"}));
        world
    }

    /// With this login, and no reply that is held.
    fn with(login: &Value) -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let realm = issuer.realm("");
        let login = realm.call("login", login);
        let home = tempfile::tempdir().expect("a folder");
        let world = Self { _watchdog: Watchdog::over("a leaver"), _issuer: issuer, realm, home };
        let text = login["text"].as_str().expect("a record");
        std::fs::write(world.auth_json(), text).expect("written");
        world
    }

    fn start(&self, way: &str) -> Child {
        let mut command = Command::new(program::beside_this_one("leaver").expect("it is built"));
        command.arg(way).arg(self.home.path()).arg(self.realm.url());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    }

    /// Starts a program and waits until it is about to end, with its reply held.
    fn leave(&self, way: &str) -> Child {
        let child = self.start(way);
        drop(self.realm.wait(&json!({"marks": {"leaving": 1}})));
        child
    }

    /// Lets the reply go, and waits for the end of the program.
    fn end(&self, child: Child) -> Output {
        self.realm.run("release", &json!({}));
        child.wait_with_output().expect("it ends")
    }

    fn auth_json(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    fn stored(&self) -> Value {
        let text = std::fs::read_to_string(self.auth_json()).expect("a record");
        let named = self.realm.call("inspect", &json!({"text": text}));
        named["record"]["tokens"]["refresh_token"].clone()
    }
}

/// Ends in that way; the exit code and what was said.
fn end_in(way: &str) -> (Option<i32>, String) {
    let world = World::new();
    let child = world.leave(way);
    let ended = world.end(child);
    assert_eq!(world.stored(), "refresh:a1", "{way}: {ended:?}");
    assert_eq!(world.realm.stats()["requests"], 1, "{way}");
    assert!(ended.stdout.is_empty(), "{way}: {ended:?}");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn g4_the_end_of_main_waits_for_an_exchange() {
    for way in ["return", "static", "dropped_runtime"] {
        assert_eq!(end_in(way), (Some(3), String::new()), "{way}");
    }
}

// On Windows it does not; see the next test.
#[cfg(not(windows))]
#[test]
fn g4_an_exit_waits_for_an_exchange() {
    for way in ["exit", "exit_of_a_thread"] {
        assert_eq!(end_in(way), (Some(7), String::new()), "{way}");
    }
}

#[test]
fn g4_a_program_that_exits_once_it_has_a_snapshot_loses_no_refresh_that_was_due() {
    let world = World::with(&json!({"name": "a", "access_age_s": 3100}));
    world.realm.run("configure", &json!({"grant_latency_ms": 300}));
    let ended = world.start("exit_once_fresh").wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    assert_eq!((world.stored(), &world.realm.stats()["grants"]), (json!("refresh:a1"), &json!(1)));
}

#[test]
fn g4_a_panic_waits_for_an_exchange() {
    let (code, said) = end_in("panic");
    assert_eq!(code, Some(101));
    assert!(said.contains("on purpose"), "{said}");
}

#[test]
fn g8_the_end_waits_for_an_exchange_only_so_long_and_only_once() {
    let (patient, other) = (World::new(), World::new());
    let mut waiting = patient.leave("return");
    let has_waited = other.leave("has_waited").wait_with_output().expect("it ends");
    assert_eq!(has_waited.status.code(), Some(3), "{has_waited:?}");
    assert!(waiting.try_wait().expect("a state").is_none(), "one waits, the other has waited");
    assert_eq!(waiting.wait().expect("it ends").code(), Some(3));
    assert_eq!(patient.stored(), "refresh:a0", "the reply is still held");
}

#[test]
fn g8_the_end_waits_for_neither_a_read_nor_a_guardian() {
    let (patient, other) = (World::new(), World::new());
    let mut waiting = patient.leave("return");
    for way in ["reading", "guarding"] {
        let ended = other.leave(way).wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(3), "{way}: {ended:?}");
    }
    assert!(waiting.try_wait().expect("a state").is_none(), "only an exchange is waited for");
    assert_eq!(patient.end(waiting).status.code(), Some(3));
}
