//! The agent of the command, as a process.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::CODEX_WINDOW;
use crate::crash::signal::send;
use crate::foreign::SharedLogin;
use crate::program;

/// Its name in the issuer's statistics.
pub(super) const NAME: &str = "agent";

/// One that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Agent {
    /// Starts one that refreshes `login` so long before its end, and writes copies to `sinks`. Waits
    /// until it watches the login.
    pub(super) fn start(login: &SharedLogin, window: Duration, sinks: &[PathBuf]) -> Self {
        let program = program::beside_this_one("codex-auth-sdk").expect("it has been built");
        let mut command = Command::new(program);
        command.args(["--issuer", &login.realm().url(), "agent", "--socket"]);
        command.arg(login.home().join("agent/agent.sock"));
        // In a life that is shorter than a newer CLI's window it is half of that by default.
        if window > CODEX_WINDOW {
            command.args(["--refresh-window", &format!("{}s", window.as_secs())]);
        }
        for sink in sinks {
            command.arg("--sink").arg(sink);
        }
        command
            .env("CODEX_HOME", login.home())
            .env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", NAME)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut agent = Self { child, output };
        agent.wait_until_it_watches();
        agent
    }

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
