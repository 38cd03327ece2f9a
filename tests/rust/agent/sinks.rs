//! Access-only copies in folders that others may write to.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use codex_auth_sdk::AuthManager;
use codex_auth_tests::privilege::{
    ORDINARY_USER, as_ordinary_user, is_ordinary_user_denied, is_root_denied,
};
use serde_json::{Value, json};

use crate::scene::{Agent, Scene};

/// The folder of a sink, and an agent that writes there.
struct Sink {
    scene: Scene,
    agent: Agent,
}

impl Sink {
    fn new() -> Self {
        let scene = Scene::signed_in();
        std::fs::create_dir(scene.path("sink")).expect("created");
        let folder = scene.path("sink");
        let agent = scene.agent(&["--sink", folder.to_str().expect("a text")]);
        Self { scene, agent }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scene.path("sink").join(name)
    }

    fn copy(&self) -> PathBuf {
        self.path("auth.json")
    }

    /// The access token of the copy; none if there is no whole one.
    fn token(&self) -> Option<String> {
        let copy = self.copy();
        let text = copy.symlink_metadata().ok()?.is_file().then(|| std::fs::read_to_string(copy));
        let record: Value = serde_json::from_str(&text?.ok()?).ok()?;
        record.pointer("/tokens/access_token").and_then(Value::as_str).map(str::to_owned)
    }

    fn stored(&self) -> Option<String> {
        let record = self.scene.stored();
        record.pointer("/tokens/access_token").and_then(Value::as_str).map(str::to_owned)
    }

    /// Waits until the copy has the stored access token.
    fn wait(&self) {
        while self.token() != self.stored() {
            std::thread::yield_now();
        }
    }

    /// Has the login refreshed by another program.
    fn rotate(&self) {
        let realm = self.scene.realm();
        let live = realm.call("live", &json!({"text": self.scene.stored().to_string()}));
        let rotated = realm.call("rotate", &json!({"token": live["label"]}));
        self.scene.store(rotated["text"].as_str().expect("a record"));
    }

    /// Waits until all is as it is to be: the stored token, in one file, and no other.
    fn assert_tidy(&self, others: &[&str]) {
        self.wait();
        let names = || {
            let entries = std::fs::read_dir(self.scene.path("sink")).expect("a folder").flatten();
            let mut names: Vec<_> =
                entries.map(|entry| entry.file_name().into_string().expect("a text")).collect();
            names.sort();
            names
        };
        let mut expected = [&["auth.json", "auth.json.lock", "auth.lock"], others].concat();
        expected.sort_unstable();
        // A temp file goes right after the copy is in place.
        while names() != expected {
            std::thread::yield_now();
        }
    }
}

fn locked_by(program: &str, lock: &Path) -> std::process::Child {
    let mut command = Command::new("flock");
    command.arg(lock).args(["sh", "-c", program]).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).spawn().expect("flock")
}

#[tokio::test]
async fn g13_a_copy_is_an_access_only_login_and_follows_each_refresh() {
    let sink = Sink::new();
    for _ in 0..2 {
        sink.assert_tidy(&[]);
        let metadata = sink.copy().metadata().expect("there");
        assert_eq!(metadata.mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(sink.copy()).expect("there");
        for lasting in ["refresh_token", "id_token"] {
            let stored =
                sink.scene.stored()["tokens"][lasting].as_str().expect("a token").to_owned();
            assert!(!text.contains(&stored), "{lasting}");
        }
        let url = sink.scene.realm().url();
        let manager = AuthManager::builder().codex_home(sink.scene.path("sink")).issuer(url);
        let auth = manager.build().await.expect("read").auth().expect("a login");
        assert_eq!((auth.account_id(), auth.user_id()), (Some("acct-a"), Some("user-a")));
        sink.rotate();
    }
    assert_eq!(sink.scene.realm().stats()["refused"], 0);
}

#[test]
fn a_copy_that_is_deleted_or_spoilt_is_written_again() {
    let sink = Sink::new();
    sink.wait();
    let write = |copy: &Path, bytes: &[u8]| std::fs::write(copy, bytes).expect("written");
    let spoils: [&dyn Fn(&Path); 5] = [
        &|copy| std::fs::remove_file(copy).expect("removed"),
        &|copy| write(copy, b""),
        &|copy| write(copy, b"{\"tokens\": {\"refresh_token\": \"\", \"acc"),
        &|copy| write(copy, &[0xff; 100]),
        &|copy| std::fs::set_permissions(copy, Permissions::from_mode(0o000)).expect("changed"),
    ];
    for spoil in spoils {
        spoil(&sink.copy());
        sink.rotate();
        sink.assert_tidy(&[]);
    }
}

/// What is planted, and how.
type Plant<'a> = (&'a str, &'a dyn Fn(&Path));

/// What is planted in the place of the copy leads nowhere out of the folder.
#[test]
fn g13_nothing_that_is_planted_leads_out_of_the_folder() {
    let sink = Sink::new();
    sink.wait();
    let login = sink.scene.path("home/auth.json");
    let precious = sink.scene.path("precious");
    std::fs::write(&precious, "precious").expect("written");
    let inode = || precious.metadata().expect("there").ino();
    let before = inode();
    let plants: [Plant<'_>; 6] = [
        ("a link to the login", &|copy| symlink(&login, copy).expect("linked")),
        ("a link to a file", &|copy| symlink(&precious, copy).expect("linked")),
        ("a link that leads nowhere", &|copy| symlink("/not/there", copy).expect("linked")),
        ("a hard link", &|copy| std::fs::hard_link(&precious, copy).expect("linked")),
        ("a pipe", &|copy| {
            assert!(Command::new("mkfifo").arg(copy).status().expect("started").success());
        }),
        ("a socket", &|copy| {
            drop(std::os::unix::net::UnixListener::bind(copy).expect("bound"));
        }),
    ];
    for (what, plant) in plants {
        std::fs::remove_file(sink.copy()).expect("removed");
        // The agent may be faster; then the plant does not get there.
        let planted = sink.path("planted");
        plant(&planted);
        std::fs::rename(&planted, sink.copy()).expect("renamed");
        sink.rotate();
        sink.assert_tidy(&[]);
        assert_eq!(std::fs::read_to_string(&precious).expect(what), "precious", "{what}");
        assert_eq!((inode(), login.symlink_metadata().expect(what).is_file()), (before, true));
    }
    let stored = sink.scene.stored();
    let live = sink.scene.realm().call("live", &json!({"text": stored.to_string()}));
    assert_eq!(live["refresh"], true, "the login is good");
}

/// Links in the place of the locks are not followed, nor is one in the place of the folder itself.
#[test]
fn g13_a_folder_that_is_exchanged_for_a_link_is_not_followed() {
    let sink = Sink::new();
    sink.wait();
    let elsewhere = sink.scene.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("created");
    for lock in ["auth.lock", "auth.json.lock"] {
        std::fs::remove_file(sink.path(lock)).expect("removed");
        symlink(elsewhere.join("made"), sink.path(lock)).expect("linked");
    }
    sink.rotate();
    sink.wait();
    let moved = sink.scene.path("moved");
    std::fs::rename(sink.scene.path("sink"), &moved).expect("moved");
    symlink(&elsewhere, sink.scene.path("sink")).expect("linked");
    sink.rotate();
    let token = || std::fs::read_to_string(moved.join("auth.json")).expect("there");
    while !token().contains(&sink.stored().expect("a token")) {
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read_dir(&elsewhere).expect("a folder").count(), 0);
}

#[test]
fn a_lock_that_is_held_keeps_no_copy_from_being_renewed() {
    let sink = Sink::new();
    sink.assert_tidy(&[]);
    let mut holder = locked_by("echo held; cat", &sink.path("auth.lock"));
    let mut held = [0; 5];
    let output = holder.stdout.as_mut().expect("piped");
    std::io::Read::read_exact(output, &mut held).expect("locked");
    sink.rotate();
    sink.wait();
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
}

#[test]
fn a_login_in_the_folder_stays_and_the_sink_stops() {
    for login in [
        r#"{"tokens": {"access_token": "a", "refresh_token": "r"}}"#,
        r#"{"OPENAI_API_KEY": "sk-1"}"#,
        // A program is writing one.
        r#"{"tokens": {"access_token": "a", "refresh_token": "r"#,
    ] {
        let scene = Scene::signed_in();
        std::fs::create_dir(scene.path("sink")).expect("created");
        let folder = scene.path("sink");
        let mut command = scene.command(&["agent", "--sink", folder.to_str().expect("a text")]);
        command.arg("--socket").arg(scene.socket());
        let (mut errors, said) = std::io::pipe().expect("a pipe");
        command.stderr(said);
        let agent = Agent::start(command);
        let sink = Sink { scene, agent };
        sink.wait();
        std::fs::write(sink.path("new"), login).expect("written");
        std::fs::rename(sink.path("new"), sink.copy()).expect("renamed");
        sink.rotate();
        let mut warning = String::new();
        let mut bytes = [0; 1];
        while !warning.contains("the sink stops") {
            std::io::Read::read_exact(&mut errors, &mut bytes).expect("it warns");
            warning.push(char::from(bytes[0]));
        }
        assert_eq!(std::fs::read_to_string(sink.copy()).expect("there"), login);
        // The agent itself goes on.
        sink.agent.signal("TERM");
    }
}

#[test]
fn a_sink_whose_user_could_not_read_a_copy_is_refused_at_the_start() {
    let scene = Scene::signed_in();
    let start = |sink: String| {
        let mut command = scene.command(&["agent", "--sink", &sink, "--socket"]);
        command.arg(scene.socket()).output().expect("started")
    };
    let folder = scene.path("sink");
    let named = |more: &str| format!("{}{more}", folder.display());
    let ended = start(named(""));
    assert_eq!(ended.status.code(), Some(2), "there is no folder: {ended:?}");
    std::fs::create_dir(&folder).expect("created");
    let ended = start(named(",mode=0200"));
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    if is_root_denied() || is_ordinary_user_denied() {
        return;
    }
    // Root gives a copy to its user; the ordinary user cannot.
    let closed = Permissions::from_mode(0o700);
    std::fs::set_permissions(&folder, closed).expect("changed");
    let ended = start(named(&format!(",uid={ORDINARY_USER}")));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "it could not even open the folder: {said}");
    assert!(said.contains("could not read"), "{said}");
    let user = Some(ORDINARY_USER);
    std::os::unix::fs::chown(&folder, user, user).expect("given");
    let agent = scene.agent(&["--sink", &named("")]);
    let sink = Sink { scene, agent };
    sink.wait();
    assert_eq!(sink.copy().metadata().expect("there").uid(), ORDINARY_USER);
    let mut reading = Command::new("cat");
    reading.arg(sink.copy());
    assert!(as_ordinary_user(&reading).output().expect("started").status.success());
}
