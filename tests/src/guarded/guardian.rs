//! The guardian of the examples, as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::crash::signal::send;
use crate::issuer::Realm;

/// Its name in the issuer's statistics.
pub(super) const NAME: &str = "guardian";

/// One that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Guardian {
    /// Starts `command` on the login in `home`; the issuer counts it under `guardian`.
    ///
    /// # Panics
    ///
    /// If it does not come so far as to watch.
    #[must_use]
    pub fn start(mut command: Command, home: &Path, realm: &Realm) -> Self {
        command
            .env("CODEX_HOME", home)
            .env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", format!("{}/oauth/token", realm.url()))
            .env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", NAME)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut guardian = Self { child, output };
        guardian.wait_for("watching");
        guardian
    }

    /// Waits until it says so: a line of the time and the name of an event, say.
    ///
    /// # Panics
    ///
    /// If it ends first.
    pub fn wait_for(&mut self, what: &str) {
        let mut said = String::new();
        while !said.lines().last().unwrap_or_default().contains(what) {
            let length = self.output.read_line(&mut said).expect("it prints text");
            assert!(length > 0, "it has ended without {what:?}: {said}");
        }
    }

    /// Sends the signal of this name, `TERM` or `INT`, and waits until it has begun to stop.
    ///
    /// # Panics
    ///
    /// If the signal ends it.
    pub fn signal(&mut self, name: &str) {
        send(name, &[self.child.id()]);
        self.wait_for("stopping");
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If it cannot be waited for.
    #[must_use]
    pub fn end(mut self) -> ExitStatus {
        self.child.wait().expect("it is a child of this process")
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
