//! A realm, a home, and the command.

use std::fs::DirEntry;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio,
};

use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::program;
use codex_auth_tests::watchdog::Watchdog;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Scene {
    _watchdog: Watchdog,
    issuer: Issuer,
    home: TempDir,
}

/// What the command has come to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command while it runs. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// Where it is a pipe, it stays open: a signal is what ends the command, not the end of its input.
    _stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

impl Scene {
    /// A realm without a login.
    pub(crate) fn new() -> Self {
        Self {
            _watchdog: Watchdog::over("the command"),
            issuer: Issuer::start().expect("an issuer"),
            home: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A realm where `a` is signed in.
    pub(crate) fn signed_in() -> Self {
        Self::with_login(&json!({}))
    }

    /// A realm where `a` is signed in, with these arguments of the control call.
    pub(crate) fn with_login(arguments: &Value) -> Self {
        let scene = Self::new();
        let mut arguments = arguments.clone();
        arguments["name"] = json!("a");
        let login = scene.realm().call("login", &arguments);
        scene.store(login["text"].as_str().expect("a record"));
        scene
    }

    pub(crate) fn realm(&self) -> Realm {
        self.issuer.realm("")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes `auth.json` as a foreign program.
    pub(crate) fn store(&self, text: &str) {
        std::fs::write(self.path("new"), text).expect("written");
        let private = PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(self.path("new"), private).expect("changed");
        std::fs::rename(self.path("new"), self.path("auth.json")).expect("renamed");
    }

    pub(crate) fn stored(&self) -> Value {
        record(&std::fs::read_to_string(self.path("auth.json")).expect("a record"))
    }

    /// The stored record with names in place of tokens.
    pub(crate) fn named(&self) -> Value {
        let text = std::fs::read_to_string(self.path("auth.json")).expect("a record");
        self.realm().call("inspect", &json!({"text": text}))["record"].clone()
    }

    /// The command, as its Rust package ships it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let program = program::beside_this_one("codex-auth-sdk").expect("it has been built");
        self.launched(Command::new(program), arguments)
    }

    /// The command, by another `launcher`.
    pub(crate) fn launched(&self, mut launcher: Command, arguments: &[&str]) -> Command {
        launcher
            .args(["--issuer", &self.realm().url()])
            .args(arguments)
            .env("CODEX_HOME", self.home.path())
            .env("BROWSER", "false")
            .stdin(Stdio::null());
        launcher
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.end(&mut self.command(arguments))
    }

    /// Runs the command with `input` on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("read");
        drop(stdin);
        self.checked(arguments.contains(&"token"), &child.wait_with_output().expect("it ends"))
    }

    pub(crate) fn end(&self, command: &mut Command) -> Ended {
        let may_tell = command.get_args().any(|argument| argument == "token");
        self.checked(may_tell, &command.output().expect("started"))
    }

    /// No subcommand but `token` prints a token, and that one on stdout only.
    fn checked(&self, may_tell: bool, output: &Output) -> Ended {
        let ended = Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout.clone()).expect("text"),
            stderr: String::from_utf8(output.stderr.clone()).expect("text"),
        };
        for text in [&ended.stderr].into_iter().chain((!may_tell).then_some(&ended.stdout)) {
            let leaks = self.realm().call("leaks", &json!({"text": text}));
            assert_eq!(leaks["leaks"], json!([]), "{ended:?}");
        }
        ended
    }

    /// Starts the command, and leaves it running.
    pub(crate) fn start(&self, mut command: Command) -> Running {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        Running { _stdin: child.stdin.take(), child, stdout, stderr }
    }
}

impl Ended {
    /// The JSON on stdout.
    pub(crate) fn json(&self) -> Value {
        let found = serde_json::from_str(&self.stdout);
        found.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it has failed with this exit code, and said this.
    #[track_caller]
    pub(crate) fn assert_failed(&self, code: i32, said: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(said), "{self:?}");
    }

    /// Asserts that it has succeeded and has complained of nothing. Returns what it has printed.
    #[track_caller]
    pub(crate) fn assert_done(&self) -> &str {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        &self.stdout
    }
}

impl Running {
    /// The next line of stdout; empty at its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("it is read");
        stdout.read_line(&mut line).expect("it prints text");
        line
    }

    /// The next line of stdout, which is JSON.
    pub(crate) fn json(&mut self) -> Value {
        record(&self.line())
    }

    /// The next line of stderr; empty at its end.
    pub(crate) fn complaint(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("it prints text");
        line
    }

    /// Waits until a thread of it waits for stdin.
    pub(crate) fn wait_for_reader(&self) {
        let threads = format!("/proc/{}/task", self.child.id());
        let is_reader = |thread: std::io::Result<DirEntry>| {
            let name = thread.and_then(|it| std::fs::read_to_string(it.path().join("comm")));
            name.is_ok_and(|name| name.starts_with("tokio-r"))
        };
        while !std::fs::read_dir(&threads).expect("it runs").any(is_reader) {
            std::thread::yield_now();
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
        assert!(status.success(), "SIG{name} was not sent");
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        self.child.wait().expect("it is a child of this process")
    }

    /// Closes its stdout, as `head` does once it has seen enough.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A client for what is not the command.
pub(crate) fn http() -> reqwest::Client {
    // Fails where another test of this process was faster.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

fn record(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
