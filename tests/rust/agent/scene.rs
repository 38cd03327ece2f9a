//! A realm, a home, and an agent that keeps the login in it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use codex_auth_sdk::{AuthManager, AuthManagerBuilder, Secret};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::program;
use codex_auth_tests::watchdog::Watchdog;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Scene {
    _watchdog: Watchdog,
    issuer: Issuer,
    folder: TempDir,
}

/// An agent that runs. It is killed when this is dropped.
pub(crate) struct Agent {
    child: Child,
    /// None if it is no longer read.
    output: Option<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Scene {
    /// A realm where nobody is signed in.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("home")).expect("created");
        // Other users get as far as to the socket.
        let open = PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(folder.path(), open).expect("opened");
        let issuer = Issuer::start().expect("an issuer");
        Self { _watchdog: Watchdog::over("the agent"), issuer, folder }
    }

    /// A realm where `a` is signed in.
    pub(crate) fn signed_in() -> Self {
        Self::with_login(&json!({}))
    }

    /// A realm where `a` is signed in, with these arguments of the control call.
    pub(crate) fn with_login(arguments: &Value) -> Self {
        let scene = Self::new();
        scene.sign_in(arguments);
        scene
    }

    pub(crate) fn sign_in(&self, arguments: &Value) {
        self.sign_in_at("home", arguments);
    }

    /// Signs in in the home of this name.
    pub(crate) fn sign_in_at(&self, home: &str, arguments: &Value) {
        let mut arguments = arguments.clone();
        if arguments["name"].is_null() {
            arguments["name"] = json!("a");
        }
        let login = self.realm().call("login", &arguments);
        self.store_at(home, login["text"].as_str().expect("a record"));
    }

    pub(crate) fn realm(&self) -> Realm {
        self.issuer.realm("")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `auth.json` as a foreign program.
    pub(crate) fn store(&self, text: &str) {
        self.store_at("home", text);
    }

    fn store_at(&self, home: &str, text: &str) {
        std::fs::write(self.path("new"), text).expect("written");
        let private = PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(self.path("new"), private).expect("changed");
        std::fs::rename(self.path("new"), self.path(home).join("auth.json")).expect("renamed");
    }

    pub(crate) fn stored(&self) -> Value {
        let text = std::fs::read_to_string(self.path("home/auth.json")).expect("a record");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/agent.sock")
    }

    /// The option `store` of the agent's clients.
    pub(crate) fn address(&self) -> String {
        format!("agent:unix:{}", self.socket().display())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let program = program::beside_this_one("codex-auth-sdk").expect("it has been built");
        let mut command = Command::new(program);
        command
            .args(["--issuer", &self.realm().url()])
            .args(arguments)
            .env("CODEX_HOME", self.path("home"))
            .stdin(Stdio::null());
        command
    }

    /// The command of an agent on the socket.
    pub(crate) fn agent_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&["agent", "--socket"]);
        command.arg(self.socket()).args(arguments);
        command
    }

    /// Starts an agent, and waits until it listens.
    pub(crate) fn agent(&self, arguments: &[&str]) -> Agent {
        let command = self.agent_command(arguments);
        let mut agent = Agent::start(command);
        agent.wait_for("watching");
        agent
    }

    /// A manager whose login is at the agent.
    pub(crate) fn builder(&self) -> AuthManagerBuilder {
        let kind = self.address().parse().expect("an address");
        AuthManager::builder().store(kind).codex_home(self.path("home"))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(&self.socket(), path).await
    }

    /// Reports a token as rejected, with these fields besides.
    pub(crate) async fn report(&self, token: &str, more: &Value) -> Reply {
        let mut report = more.clone();
        report["token"] = json!(Secret::new(token).fingerprint().to_string());
        let request = client(&self.socket()).post("http://localhost/v1/rejected");
        Reply::of(request.json(&report)).await
    }

    /// How many refresh tokens were presented.
    pub(crate) fn requests(&self) -> u64 {
        self.realm().stats()["requests"].as_u64().expect("a number")
    }
}

/// What the agent has answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let reply = request.send().await.expect("a reply");
        let status = reply.status().as_u16();
        Self { status, text: reply.text().await.expect("a text") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The text of a field of the JSON.
    pub(crate) fn text_of(&self, pointer: &str) -> String {
        let json = self.json();
        let found = json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("{pointer}: {self:?}")).to_owned()
    }

    /// The code of an error.
    pub(crate) fn code(&self) -> String {
        self.text_of("/error/code")
    }
}

pub(crate) async fn get(socket: &Path, path: &str) -> Reply {
    Reply::of(client(socket).get(format!("http://localhost{path}"))).await
}

/// A client of the socket.
pub(crate) fn client(socket: &Path) -> reqwest::Client {
    builder().unix_socket(socket).build().expect("a client")
}

/// A client of everything else.
pub(crate) fn http() -> reqwest::Client {
    builder().build().expect("a client")
}

fn builder() -> reqwest::ClientBuilder {
    // Fails where another test of this process was faster.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy()
}

impl Agent {
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = child.stdout.take().map(BufReader::new);
        Self { child, output, said: Vec::new() }
    }

    /// Waits until it says so, and returns that line.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        loop {
            let mut line = String::new();
            let output = self.output.as_mut().expect("it is read");
            let length = output.read_line(&mut line).expect("it prints text");
            assert!(length > 0, "it has ended without {what:?}: {:?}", self.said);
            self.said.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Closes the pipe in which it prints.
    pub(crate) fn stop_reading(&mut self) {
        self.output = None;
    }

    /// The line in which it has said so.
    pub(crate) fn said(&self, what: &str) -> &str {
        let said = self.said.iter().find(|line| line.contains(what));
        said.unwrap_or_else(|| panic!("{what}: {:?}", self.said))
    }

    pub(crate) fn signal(&self, name: &str) {
        send(name, &self.child.id().to_string());
    }

    /// Sends a signal to the only child of this process.
    pub(crate) fn signal_child(&self, name: &str) {
        let process = self.child.id();
        let children = format!("/proc/{process}/task/{process}/children");
        let child = std::fs::read_to_string(children).expect("it has one");
        send(name, child.trim());
    }

    pub(crate) fn end(mut self) -> ExitStatus {
        self.child.wait().expect("it is a child of this process")
    }
}

fn send(signal: &str, process: &str) {
    let kill = format!("kill -s {signal} {process}");
    let status = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
    assert!(status.success(), "SIG{signal} was not sent");
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
