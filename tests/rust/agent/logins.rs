//! Several logins of one agent, by its configuration file.

use std::io::{PipeReader, Read};
use std::os::unix::process::ExitStatusExt as _;

use codex_auth_sdk::AuthManager;
use serde_json::{Value, json};

use crate::scene::{Agent, Scene};

/// An agent with the login `a` as `first` and `b` as `second`.
struct Two {
    scene: Scene,
    agent: Agent,
    warnings: PipeReader,
}

impl Two {
    /// `sinks` are those of the second one.
    fn start(sinks: &[&str]) -> Self {
        let scene = Scene::signed_in();
        for folder in ["other", "one", "two"] {
            std::fs::create_dir(scene.path(folder)).expect("created");
        }
        scene.sign_in_at("other", &json!({"name": "b"}));
        let mut two = Self::with(scene, sinks);
        for name in ["first", "second"] {
            two.agent.wait_for(&format!("{name}: watching"));
        }
        two
    }

    fn with(scene: Scene, sinks: &[&str]) -> Self {
        configure(&scene, "other", sinks);
        let config = scene.path("agent.toml");
        let mut command = scene.agent_command(&["--config"]);
        command.arg(config);
        let (warnings, stderr) = std::io::pipe().expect("a pipe");
        command.stderr(stderr);
        Self { agent: Agent::start(command), scene, warnings }
    }

    fn reload(&mut self) {
        self.agent.signal("HUP");
        self.agent.wait_for("reloaded");
    }

    /// Waits until it warns so.
    fn wait_for_warning(&mut self, what: &str) {
        let mut warned = String::new();
        let mut byte = [0; 1];
        while !warned.contains(what) {
            self.warnings.read_exact(&mut byte).expect("it warns");
            warned.push(char::from(byte[0]));
        }
    }

    /// The access token in this folder; none if there is no whole record.
    fn token(&self, folder: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.scene.path(folder).join("auth.json")).ok()?;
        let record: Value = serde_json::from_str(&text).ok()?;
        record.pointer("/tokens/access_token").and_then(Value::as_str).map(str::to_owned)
    }

    /// Waits until the sink in this folder has the token of the second login.
    fn wait_for_copy(&self, folder: &str) {
        while self.token(folder) != self.token("other") {
            std::thread::yield_now();
        }
    }
}

fn configure(scene: &Scene, home: &str, sinks: &[&str]) {
    let path = |name: &str| scene.path(name).display().to_string();
    let sinks: Vec<_> = sinks.iter().map(|sink| path(sink)).collect();
    let (first, second) = (path("home"), path(home));
    let text = format!(
        "[[login]]\nname = \"first\"\ncodex_home = {first:?}\n\
         [[login]]\nname = \"second\"\ncodex_home = {second:?}\nsinks = {sinks:?}\n"
    );
    std::fs::write(scene.path("agent.toml"), text).expect("written");
}

#[tokio::test]
async fn each_login_is_handed_out_under_its_name_and_the_first_one_without() {
    let mut two = Two::start(&[]);
    let scene = &two.scene;
    for (query, user) in [("", "user-a"), ("?login=first", "user-a"), ("?login=second", "user-b")] {
        let reply = scene.get(&format!("/v1/token{query}")).await;
        assert_eq!(reply.text_of("/user_id"), user, "{query}");
    }
    let unknown = scene.get("/v1/token?login=third").await;
    assert_eq!((unknown.status, &*unknown.code()), (404, "unknown_login"));
    assert!(unknown.text.contains("first, second"), "{unknown:?}");
    let status = scene.get("/v1/status").await.json();
    assert_eq!(status["logins"][1]["name"], "second", "{status}");
    // A change of one login is none of the other.
    let generation = async |login: &str| {
        let reply = scene.get(&format!("/v1/token?login={login}")).await;
        reply.text_of("/generation")
    };
    let (first, second) = (generation("first").await, generation("second").await);
    assert_ne!(first, second);
    let store = format!("{}#second", scene.address()).parse().expect("an address");
    let manager = AuthManager::builder().store(store).build().await.expect("a manager");
    let _following = manager.follow_store();
    let mut events = manager.subscribe();
    scene.sign_in_at("other", &json!({"name": "c"}));
    assert_eq!(events.next().await.expect("the manager lives").kind(), "identity_changed");
    assert_eq!(manager.auth().expect("a login").user_id(), Some("user-c"));
    two.agent.wait_for("second: identity_changed");
    assert_eq!(generation("first").await, first);
    // A report is about the login that it names, too.
    let grant = scene.get("/v1/token?login=second").await.json();
    let token = grant["access_token"].as_str().expect("a token");
    assert_eq!(scene.report(token, &grant).await.code(), "identity_mismatch");
}

#[tokio::test]
async fn a_store_that_cannot_be_read_keeps_no_other_login_waiting() {
    let scene = Scene::signed_in();
    let file = scene.path("other/auth.json");
    std::fs::create_dir(scene.path("other")).expect("created");
    std::fs::write(&file, "{").expect("written");
    let mut two = Two::with(scene, &[]);
    two.wait_for_warning("the login is not handed out until its store can be read");
    two.agent.wait_for("second: watching; the store cannot be read");
    let scene = &two.scene;
    assert_eq!(scene.get("/v1/token").await.text_of("/user_id"), "user-a");
    let refused = scene.get("/v1/token?login=second").await;
    assert_eq!(refused.code(), "store_corrupt", "{refused:?}");
    std::fs::remove_file(&file).expect("removed");
    scene.sign_in_at("other", &json!({"name": "b"}));
    assert_eq!(scene.get("/v1/token?login=second").await.text_of("/user_id"), "user-b");
}

#[test]
fn a_signal_has_the_sinks_read_again_and_nothing_else() {
    let mut two = Two::start(&["one"]);
    two.wait_for_copy("one");
    configure(&two.scene, "other", &["two"]);
    two.reload();
    two.wait_for_copy("two");
    let before = two.token("one");
    two.scene.sign_in_at("other", &json!({"name": "c"}));
    two.wait_for_copy("two");
    assert_eq!(two.token("one"), before, "the copy of a sink that is gone stays as it is");
    // A file that makes no sense changes nothing, and neither does a folder that is not there.
    std::fs::write(two.scene.path("agent.toml"), "[[login]]\nname = 1\n").expect("written");
    two.agent.signal("HUP");
    two.agent.wait_for("not reloaded");
    two.wait_for_warning("agent.toml, line 2");
    configure(&two.scene, "other", &["nowhere", "two"]);
    two.reload();
    two.wait_for_warning("a sink is not started");
    two.scene.sign_in_at("other", &json!({"name": "d"}));
    two.wait_for_copy("two");
    configure(&two.scene, "home", &["two"]);
    two.reload();
    two.wait_for_warning("only sinks are reloaded");
    two.wait_for_copy("two");
    two.agent.signal("TERM");
    assert_eq!(two.agent.end().signal(), Some(15));
}

#[test]
fn a_sink_that_has_stopped_starts_again_with_a_reload() {
    let mut two = Two::start(&["one"]);
    two.wait_for_copy("one");
    let copy = two.scene.path("one/auth.json");
    let login = r#"{"tokens": {"access_token": "a", "refresh_token": "r"}}"#;
    std::fs::write(two.scene.path("one/new"), login).expect("written");
    std::fs::rename(two.scene.path("one/new"), &copy).expect("renamed");
    two.wait_for_warning("the sink stops");
    std::fs::remove_file(&copy).expect("removed");
    two.reload();
    two.wait_for_copy("one");
}

#[test]
fn a_file_that_makes_no_sense_is_refused_at_the_start() {
    let scene = Scene::signed_in();
    std::fs::create_dir(scene.path("one")).expect("created");
    let refused = |more: &[&str], told: &str| {
        let mut command = scene.agent_command(&["--config"]);
        let ended = command.arg(scene.path("agent.toml")).args(more).output().expect("started");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(told), "{said}");
    };
    refused(&[], "cannot be read");
    std::fs::write(scene.path("agent.toml"), "[[login]]\nname = \"A\"\n").expect("written");
    refused(&[], "agent.toml, line 2");
    configure(&scene, "home", &["one", "one/"]);
    refused(&[], "named twice");
    let sink = scene.path("one");
    refused(&["--sink", sink.to_str().expect("a text")], "cannot be used with");
}

#[test]
fn without_a_file_to_read_again_the_end_of_a_terminal_ends_the_agent() {
    let scene = Scene::signed_in();
    let agent = scene.agent(&[]);
    agent.signal("HUP");
    assert_eq!(agent.end().signal(), Some(1));
}
