//! The agent of the command, as a process.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use chrono::Utc;

use super::CODEX_WINDOW;
use crate::chance::Chance;
use crate::crash::signal::{pause, send};
use crate::foreign::SharedLogin;
use crate::program;

/// Its name in the issuer's statistics.
pub(super) const NAME: &str = "agent";

/// The longest time for which it is away between two of its lives.
const AWAY: Duration = Duration::from_secs(8);

/// How long before it refreshes the login it is killed at the latest: in the middle of a refresh a
/// login may be lost.
const SAFE: Duration = Duration::from_secs(1);

/// What an agent is started with.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    url: String,
    home: PathBuf,
    window: Duration,
    sinks: Vec<PathBuf>,
}

/// One that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Settings {
    /// It refreshes `login` so long before its end, and writes copies to `sinks`.
    pub(super) fn new(login: &SharedLogin, window: Duration, sinks: &[PathBuf]) -> Self {
        let (url, home) = (login.realm().url(), login.home().to_owned());
        Self { url, home, window, sinks: sinks.to_vec() }
    }

    /// Starts one, and waits until it watches the login.
    pub(super) fn start(&self) -> Agent {
        let program = program::beside_this_one("codex-auth-sdk").expect("it has been built");
        let mut command = Command::new(program);
        command.args(["--issuer", &self.url, "agent", "--socket"]);
        command.arg(self.home.join("agent/agent.sock"));
        // In a life that is shorter than a newer CLI's window it is half of that by default.
        if self.window > CODEX_WINDOW {
            command.args(["--refresh-window", &format!("{}s", self.window.as_secs())]);
        }
        for sink in &self.sinks {
            command.arg("--sink").arg(sink);
        }
        command
            .env("CODEX_HOME", &self.home)
            .env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", NAME)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut agent = Agent { child, output };
        agent.wait_until_it_watches();
        agent
    }

    /// Kills `agent` at some instant before it is `due`, in milliseconds since 1970, and starts it a
    /// while later. Returns whether there was time for that.
    pub(super) fn restart(&self, agent: Agent, due: i64, chance: &Chance) -> (Agent, bool) {
        let left = || {
            let left = (due - Utc::now().timestamp_millis()).try_into().unwrap_or_default();
            Duration::from_millis(left).saturating_sub(SAFE)
        };
        pause(chance.between(Duration::ZERO, left()));
        if left().is_zero() {
            return (agent, false);
        }
        drop(agent);
        pause(chance.between(Duration::ZERO, AWAY));
        (self.start(), true)
    }
}

impl Agent {
    fn wait_until_it_watches(&mut self) {
        let mut said = String::new();
        while !said.lines().last().unwrap_or_default().contains("watching") {
            let length = self.output.read_line(&mut said).expect("it prints text");
            assert!(length > 0, "it has ended: {said}");
        }
    }

    /// Ends it as a service manager does.
    pub(super) fn end(mut self) -> ExitStatus {
        send("TERM", &[self.child.id()]);
        self.child.wait().expect("it is a child of this process")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
