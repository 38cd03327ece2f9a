//! `strace`: what a program does, and the signal that comes at one system call of it.

use std::path::Path;
use std::process::Command;

use crate::contender::Language;

/// One system call of a refresh, counted on the thread that does it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// How its name begins: what is `rename` here is `renameat` elsewhere.
    pub(super) name: &'static str,
    pub(super) number: usize,
    /// What its line in the trace says: that it is the one that is meant.
    pub(super) shows: &'static str,
}

impl Call {
    /// The command of `language` under `strace`, which does `what` (`signal=SIGKILL`) as the call
    /// is entered.
    pub(super) fn traced(&self, language: Language, what: &str, log: &Path) -> Command {
        let contender = language.command();
        let mut strace = strace();
        // What an interpreter does as it starts is none of these calls: without a HOME it looks its
        // user up, and it writes what it has compiled.
        strace.env("HOME", "/nowhere").env("PYTHONDONTWRITEBYTECODE", "1");
        strace.arg("-o").arg(log);
        strace.arg("-e").arg(format!("trace=/^{}", self.name));
        strace.arg("-e").arg(format!("inject=/^{}:{what}:when={}", self.name, self.number));
        strace.arg("--").arg(contender.get_program()).args(contender.get_args());
        strace
    }

    /// Whether the call that is meant was the last one in the trace `log`.
    pub(super) fn check(&self, log: &Path) -> Result<(), String> {
        let trace = std::fs::read_to_string(log).map_err(|error| format!("no trace: {error}"))?;
        // `4711 fsync(9</a/b>) = 0`
        let name = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
        let is_one = |line: &&str| name(line).is_some_and(|name| name.starts_with(self.name));
        let calls: Vec<&str> = trace.lines().filter(is_one).collect();
        if calls.len() == self.number && calls.last().is_some_and(|line| line.contains(self.shows))
        {
            return Ok(());
        }
        Err(format!("call {} is not {}: {trace}", self.number, self.shows))
    }
}

/// Follows all threads, and names files by their paths.
fn strace() -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y"]);
    strace
}
