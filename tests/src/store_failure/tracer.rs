//! `strace` on the thread of a contender that redeems and saves: what it calls, and one call that
//! fails. This is the failing layer of these tests: the call does not happen, and its caller gets
//! the error.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The thread of `process` on which the core redeems and saves.
pub(super) fn own_thread(process: u32) -> String {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let mut threads = threads.flatten().filter(|thread| {
        std::fs::read_to_string(thread.path().join("comm"))
            .is_ok_and(|name| name.trim_end() == "codex-auth-sdk")
    });
    let thread = threads.next().expect("a thread of the core's own");
    thread.file_name().into_string().expect("a number")
}

/// A call as the log has it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Its name, `openat`.
    pub(super) name: String,
    /// The how manieth of that name it was.
    pub(super) nth: usize,
    /// The line.
    pub(super) line: String,
}

impl Call {
    /// Whether it concerns a file in `folder`.
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        self.line.contains(&*folder.to_string_lossy())
    }

    /// The name of the file whose descriptor it was given, or gave; `.tmp` for all temp files.
    pub(super) fn file(&self) -> Option<&str> {
        let (_, path) = self.line.rsplit_once('<')?;
        let (path, _) = path.split_once('>')?;
        if path.ends_with(".tmp") { Some(".tmp") } else { path.rsplit('/').next() }
    }

    /// Whether it failed because it was told to.
    pub(super) fn is_injected(&self) -> bool {
        self.line.ends_with("(INJECTED)")
    }
}

/// A tracer at work.
#[derive(Debug)]
pub(super) struct Tracer {
    strace: Child,
    log: tempfile::NamedTempFile,
}

impl Tracer {
    /// Starts tracing `thread`; `fault` is what strace is to inject, `fsync:error=EIO:when=1`.
    pub(super) fn attach(thread: &str, fault: Option<&str>) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a log");
        let mut command = Command::new("strace");
        command.args(["-y", "-s", "16", "-p", thread, "-o"]).arg(log.path());
        if let Some(fault) = fault {
            command.args(["-e", &format!("inject={fault}")]);
        }
        let mut strace = command.stderr(Stdio::piped()).spawn().expect("strace");
        let mut says = String::new();
        BufReader::new(strace.stderr.as_mut().expect("piped"))
            .read_line(&mut says)
            .expect("it says something");
        assert!(says.contains("attached"), "{says}");
        Self { strace, log }
    }

    /// What was called so far.
    pub(super) fn calls(&self) -> Vec<Call> {
        let log = std::fs::read_to_string(self.log.path()).expect("the log");
        let mut calls: Vec<Call> = Vec::new();
        for line in log.lines() {
            let Some((name, _)) = line.split_once('(') else { continue };
            let nth = 1 + calls.iter().filter(|call| call.name == name).count();
            calls.push(Call { name: name.to_owned(), nth, line: line.to_owned() });
        }
        calls
    }

    /// Ends the tracing; what was called.
    pub(super) fn detach(mut self) -> Vec<Call> {
        self.stop();
        self.calls()
    }

    fn stop(&mut self) {
        if matches!(self.strace.try_wait(), Ok(Some(_))) {
            return;
        }
        let id = self.strace.id().to_string();
        // A tracer that was asked to end lets its thread go first.
        drop(Command::new("sh").args(["-c", "kill $1", "sh", &id]).status());
        drop(self.strace.wait());
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.stop();
    }
}
