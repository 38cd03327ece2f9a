//! The example programs do what they say, and recover from a 401 in between.
//! They must have been built.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use codex_auth_tests::issuer::{Issuer, Realm};
use serde_json::json;
use tempfile::TempDir;

/// A login whose access token is dead.
struct Scene {
    issuer: Issuer,
    home: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            issuer: Issuer::start().expect("an issuer"),
            home: tempfile::tempdir().expect("a folder"),
        };
        let login = scene.realm().call("login", &json!({"name": "a"}));
        let text = login["text"].as_str().expect("a record");
        std::fs::write(scene.home.path().join("auth.json"), text).expect("written");
        scene.realm().run("kill_access", &json!({}));
        scene
    }

    fn realm(&self) -> Realm {
        self.issuer.realm("")
    }

    fn origin(&self) -> String {
        self.realm().url().to_owned()
    }

    /// An example program, as its user would have it: from the folder that EXAMPLES names, or the one
    /// that was built with the tests.
    fn example(&self, name: &str) -> Command {
        let folder = std::env::var_os("EXAMPLES").map_or_else(built, PathBuf::from);
        let mut command = Command::new(folder.join(name));
        command
            .env("CODEX_HOME", self.home.path())
            .env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", format!("{}/oauth/token", self.origin()))
            .stdin(Stdio::null());
        command
    }

    /// Runs an example to its end: what it printed.
    fn run(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.example(name).args(arguments).output().expect("started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {}: {complaint}", output.status);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn assert_refreshed_once(&self) {
        let stats = self.realm().stats();
        assert_eq!((&stats["requests"], &stats["grants"]), (&json!(1), &json!(1)), "{stats}");
    }
}

fn built() -> PathBuf {
    let program = std::env::current_exe().expect("a path");
    program.ancestors().nth(2).expect("a folder").to_owned()
}

#[test]
fn quickstart() {
    let scene = Scene::new();
    let url = format!("{}/api/me", scene.origin());
    assert_eq!(scene.run("quickstart", &[&url, &scene.origin()]), "200");
    scene.assert_refreshed_once();
}

#[test]
fn retry_on_401() {
    let scene = Scene::new();
    assert_eq!(scene.run("retry_on_401", &[&format!("{}/api/me", scene.origin())]), "200");
    scene.assert_refreshed_once();
}

#[test]
fn opentelemetry() {
    let scene = Scene::new();
    let said = scene.run("opentelemetry", &[&format!("{}/api/me", scene.origin())]);
    let values = |label| {
        let lines = said.lines().filter_map(move |line| line.trim().strip_prefix(label));
        lines.map(|value| value.trim().to_owned()).collect::<Vec<_>>()
    };
    let steps = ["lock_wait", "redemption", "commit", "refresh", "recovery"];
    let mut names: Vec<_> = steps.iter().map(|step| format!("codex_auth.{step}")).collect();
    names.push("request".to_owned());
    // The names of scopes are quoted.
    let mut told = values("Name         :");
    told.retain(|name| !name.starts_with('"'));
    assert_eq!(told, names, "{said}");
    let outcomes = ["locked", "granted", "saved", "fresh", "retry"];
    let expected: Vec<_> = outcomes.iter().map(|code| format!("String(Owned({code:?}))")).collect();
    assert_eq!(values("->  outcome:"), expected, "{said}");
    let ids = values("SpanId       :");
    let parents = values("ParentSpanId :");
    assert_eq!((&parents[4], &parents[0]), (&ids[5], &ids[3]), "{said}");
    assert!(values("SpanId :").contains(&ids[4]), "the refresh has a link to the recovery: {said}");
    scene.assert_refreshed_once();
}

#[test]
fn websocket() {
    let scene = Scene::new();
    let url = format!("{}/api/socket", scene.origin().replace("http:", "ws:"));
    assert_eq!(scene.run("websocket", &[&url, "hello"]), "hello");
    scene.assert_refreshed_once();
}

#[test]
fn login_by_device_code() {
    let scene = Scene::new();
    let said = scene.run("login", &["device", &scene.origin()]);
    assert!(said.contains("│ T ││ E ││ S ││ T │"), "{said}");
    assert!(said.ends_with("Signed in as device@example.com."), "{said}");
    assert_eq!(scene.realm().stats()["sign_ins"], 1);
}

#[test]
fn custom_store() {
    let scene = Scene::new();
    let database = scene.home.path().join("login.redb");
    let database = database.to_str().expect("a name");
    let record = scene.home.path().join("auth.json");
    scene.run("custom_store", &["import", database, record.to_str().expect("a name")]);
    assert!(!record.exists());
    let url = format!("{}/api/me", scene.origin());
    for _ in 0..2 {
        assert_eq!(scene.run("custom_store", &[database, &url, &scene.origin()]), "200");
    }
    // The second run sends the token that the first one has saved.
    scene.assert_refreshed_once();
}

#[test]
fn server() {
    let scene = Scene::new();
    let url = format!("{}/api/me", scene.origin());
    let mut server = scene
        .example("server")
        .args(["0", &url, &scene.origin()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut address = String::new();
    let said = BufReader::new(server.stdout.take().expect("piped")).read_line(&mut address);
    said.expect("a line");
    let address = address.trim().trim_start_matches("http://");
    assert!(get(address).ends_with("20 of 20"));
    scene.assert_refreshed_once();
    terminate(server.id());
    assert!(server.wait().expect("waited for").success());
}

fn get(address: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("it listens");
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("answered");
    answer
}

fn terminate(id: u32) {
    let killed = Command::new("kill").arg(id.to_string()).status().expect("kill");
    assert!(killed.success());
}
