//! Signals to processes of ours.

use std::fs;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

/// A signal that ends a program without its exit hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Kill,
    /// How containers and service managers stop a program.
    Term,
}

impl Signal {
    pub(super) const ALL: [Self; 2] = [Self::Kill, Self::Term];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
        }
    }

    pub(super) const fn number(self) -> i32 {
        match self {
            Self::Kill => 9,
            Self::Term => 15,
        }
    }
}

/// Sends the signal of this name to children that have not been waited for, at once.
///
/// # Panics
///
/// If there is no such signal or no such process.
pub fn send(name: &str, processes: &[u32]) {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$0\" \"$@\"", name]).args(processes.iter().map(u32::to_string));
    let status = kill.status().expect("a shell");
    assert!(status.success(), "SIG{name} was not sent");
}

/// Stops a program (`SIGSTOP`), and waits until all of its threads are.
pub(super) fn stop(process: &Child) {
    send("STOP", &[process.id()]);
    while !is_stopped(process) {
        pause(Duration::from_millis(1));
    }
}

/// Lets it go on.
pub(super) fn resume(process: &Child) {
    send("CONT", &[process.id()]);
}

fn is_stopped(process: &Child) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", process.id())).expect("it lives");
    threads.flatten().all(|thread| {
        let state = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        state.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['T', 't']))
    })
}

#[expect(clippy::disallowed_methods, reason = "between two looks, and for a random instant")]
pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}
