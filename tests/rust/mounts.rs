//! `auth.json` as a mount point, as containers have it. Each test has a mount namespace of its own.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use codex_auth_sdk::AuthManager;
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::log::Log;
use codex_auth_tests::privilege::{Namespace, are_mounts_denied, is_fuse_denied, unshared};
use serde_json::{Value, json};
use tempfile::{Builder, TempDir};

/// Mounts the host's file in a home.
const BIND: &str = "mount --bind \"$1/auth.json\" \"$2/auth.json\";";

/// The host puts another file in the place of its own.
const REPLACE: &str = "cp \"$1/auth.json\" \"$1/new\"; mv \"$1/new\" \"$1/auth.json\";";

struct Container {
    realm: Realm,
    _issuer: Issuer,
    host: TempDir,
    home: TempDir,
}

impl Container {
    /// A host's file with an expired login, and a home with a place to mount it on.
    fn new() -> Self {
        Self::with_home(tempfile::tempdir().expect("a folder"))
    }

    fn with_home(home: TempDir) -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let realm = issuer.realm("");
        let login = realm.call("login", &json!({"name": "a", "access_age_s": 7200}));
        let host = tempfile::tempdir().expect("a folder");
        std::fs::write(host.path().join("auth.json"), login["text"].as_str().expect("a record"))
            .expect("written");
        std::fs::write(home.path().join("auth.json"), "").expect("written");
        Self { realm, _issuer: issuer, host, home }
    }

    /// Mounts the host's file, runs `meanwhile` in the shell, then one request of a contender.
    fn request(&self, meanwhile: &str) -> Value {
        self.request_on(&format!("{BIND} {meanwhile}"))
    }

    /// Runs `mounts` in the shell, then one request of a contender.
    fn request_on(&self, mounts: &str) -> Value {
        ended(self.begin(mounts, self.home.path(), &json!({})))
    }

    /// Runs `mounts` in the shell for the home `$2`, then one request of a contender with `options`.
    fn begin(&self, mounts: &str, home: &Path, options: &Value) -> Child {
        let script = format!("{mounts} exec \"$3\" \"$2\" \"$4\" mounted \"$5\"");
        let mut command = unshared();
        command.args(["sh", "-ec", &script, "sh"]);
        command.args([self.host.path(), home, Path::new(env!("CARGO_BIN_EXE_contender"))]);
        command.args([self.realm.url(), options.to_string()]);
        started(command)
    }

    fn on_host(&self) -> PathBuf {
        self.host.path().join("auth.json")
    }
}

/// A contender that `command` starts, once it was told to make a request.
fn started(mut command: Command) -> Child {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("started");
    // A contender that could not start does not listen any more.
    drop(writeln!(child.stdin.take().expect("piped"), "go"));
    child
}

/// The last thing that `child` said.
fn ended(child: Child) -> Value {
    let output = child.wait_with_output().expect("ended");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_else(|| panic!("no answer: {output:?}"));
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn g7_a_mounted_file_is_written_in_place() {
    if are_mounts_denied() {
        return;
    }
    let container = Container::new();
    let before = container.on_host().metadata().expect("there").ino();
    assert_eq!(container.request("true;")["status"], 200);
    let stored = std::fs::read_to_string(container.on_host()).expect("there");
    let live = container.realm.call("live", &json!({"text": stored}));
    assert_eq!(live["refresh"], true, "the host has the new tokens");
    assert_eq!(container.on_host().metadata().expect("there").ino(), before, "in the same file");
}

#[test]
fn g1_containers_that_have_one_mounted_file_in_common_redeem_one_at_a_time() {
    if are_mounts_denied() {
        return;
    }
    let container = Container::new();
    let other = tempfile::tempdir().expect("a folder");
    std::fs::write(other.path().join("auth.json"), "").expect("written");
    container.realm.run("hold", &json!({"at": "arrival"}));
    let first = container.begin(BIND, container.home.path(), &json!({}));
    drop(container.realm.wait(&json!({"held": 1})));
    let impatient = json!({"refresh_deadline": 0.5, "lock_timeout": 1});
    let answer = ended(container.begin(BIND, other.path(), &impatient));
    assert_eq!(answer["error"], "lock_timeout", "{answer}");
    container.realm.run("release", &json!({}));
    assert_eq!(ended(first)["status"], 200);
    assert_eq!(ended(container.begin(BIND, other.path(), &json!({})))["status"], 200);
    assert_eq!(container.realm.stats()["requests"], 1);
}

#[test]
fn g5_a_mounted_file_that_its_host_has_replaced_spends_nothing() {
    if are_mounts_denied() {
        return;
    }
    let container = Container::new();
    // A copy of the old one that has its content by another name does not make it the host's.
    for keep in ["true;", "ln \"$1/auth.json\" \"$1/kept\";"] {
        let answer = container.request(&format!("{keep} {REPLACE}"));
        assert_eq!(answer["error"], "store_unavailable", "{answer}");
        let message = answer["message"].as_str().expect("a text");
        let place = container.home.path().join("auth.json").display().to_string();
        assert!(message.contains(&place) && message.contains("mount its folder"), "{message}");
    }
    assert_eq!(container.realm.stats()["requests"], 0);
}

#[test]
fn g2_a_refusal_is_not_believed_where_the_host_has_replaced_the_mounted_file_meanwhile() {
    if are_mounts_denied() {
        return;
    }
    let container = Container::new();
    let inside = container.home.path().display().to_string();
    let namespace = Namespace::new(
        "mount --bind \"$1/auth.json\" \"$2/auth.json\"",
        &[container.host.path(), container.home.path()],
    );
    container.realm.run("hold", &json!({"at": "arrival"}));
    let mut program = Command::new(env!("CARGO_BIN_EXE_contender"));
    program.args([&inside, &container.realm.url(), "mounted", r#"{"winner_wait": 0.1}"#]);
    let child = started(namespace.enter(&program));
    drop(container.realm.wait(&json!({"held": 1})));
    // A program of the host that takes no lock.
    let rotated = container.realm.call("rotate", &json!({"token": "a0"}));
    let new = container.host.path().join("new");
    std::fs::write(&new, rotated["text"].as_str().expect("a record")).expect("written");
    std::fs::rename(new, container.on_host()).expect("replaced");
    container.realm.run("release", &json!({}));
    let answer = ended(child);
    assert_eq!(answer["error"], "store_unavailable", "{answer}");
    assert!(answer["message"].as_str().expect("a text").contains("mount its folder"), "{answer}");
    assert_eq!(container.realm.stats()["refused"], 1);
}

#[test]
fn a_mounted_file_that_its_host_has_replaced_is_said_once_and_used_while_it_works() {
    if are_mounts_denied() {
        return;
    }
    let container = Container::new();
    let login = container.realm.call("login", &json!({"name": "b"}));
    std::fs::write(container.on_host(), login["text"].as_str().expect("a record"))
        .expect("written");
    let script = format!("{BIND} {REPLACE} exec \"$3\" --exact \"$4\" --ignored --nocapture");
    let mut command = unshared();
    command.args(["sh", "-ec", &script, "sh"]);
    command.args([container.host.path(), container.home.path()]);
    command.arg(std::env::current_exe().expect("a path")).arg("reads_of_a_replaced_file");
    let output = command.env("TEST_HOME", container.home.path()).output().expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

#[tokio::test]
#[ignore = "run by a_mounted_file_that_its_host_has_replaced_is_said_once_and_used_while_it_works"]
async fn reads_of_a_replaced_file() {
    let log = Log::of_everything();
    let home = std::env::var_os("TEST_HOME").expect("set");
    let manager = AuthManager::builder().codex_home(home).build().await.expect("a manager");
    for _ in 0..2 {
        manager.reload().await.expect("readable");
        assert!(manager.fresh_auth().await.expect("it works").is_some());
    }
    let text = log.text();
    assert_eq!(text.matches("WARN").count(), 1, "{text}");
    assert!(text.contains("cannot be refreshed here") && text.contains("mount its folder"));
}

#[test]
fn g5_a_mounted_file_that_is_read_only_spends_nothing() {
    if are_mounts_denied() {
        return;
    }
    let container = Container::new();
    let answer = container.request("mount -o remount,bind,ro \"$2/auth.json\";");
    assert_eq!(answer["error"], "store_read_only");
    assert_eq!(container.realm.stats()["requests"], 0);
}

#[test]
fn g5_a_mounted_file_is_known_by_any_name_among_mounts_of_any_name() {
    if are_mounts_denied() {
        return;
    }
    let home = Builder::new().prefix("a b\tc\nd\\e\\040#").tempdir().expect("a folder");
    let container = Container::with_home(home);
    // Mounted besides it: a name that is no text.
    let answer = container.request(
        "odd=\"$1/$(printf '\\377')\"; mkdir \"$odd\"; mount -t tmpfs none \"$odd\"; \
         mount -o remount,bind,ro \"$2/auth.json\";",
    );
    assert_eq!(answer["error"], "store_read_only");
    assert_eq!(container.realm.stats()["requests"], 0);
}

/// A file system in user space whose server never answers, at `$2`, for as long as the program runs.
const HUNG: &str = "exec 3<>/dev/fuse; \
    mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hung";

#[test]
fn a_file_system_that_hangs_is_named_and_not_waited_for_without_end() {
    if is_fuse_denied() {
        return;
    }
    // The home itself, and a home whose record is a link to one.
    for script in [
        format!("{HUNG} \"$2\";"),
        format!("{HUNG} \"$1\"; rm \"$2/auth.json\"; ln -s \"$1/auth.json\" \"$2\";"),
    ] {
        let container = Container::new();
        let answer = container.request_on(&script);
        assert_eq!(answer["error"], "store_unavailable", "{answer}");
        let message = answer["message"].as_str().expect("a text");
        let home = container.home.path().display().to_string();
        assert!(message.contains(&home) && message.contains("has not answered"), "{message}");
        assert_eq!(container.realm.stats()["requests"], 0);
    }
}
