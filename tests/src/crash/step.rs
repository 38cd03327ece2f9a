//! The named steps of a refresh, at which a program can be killed.

use std::os::unix::process::ExitStatusExt;

use serde_json::json;

use super::home::Home;
use super::signal::{self, Signal};
use super::trace::Call;
use crate::contender::{Contender, Language};

/// A step of a refresh that redeems a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    at: At,
    /// Whether the login is lost with a program that dies here, unless the server grants a spent
    /// token again.
    pub(super) has_unsaved_reply: bool,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// While the issuer holds the request, `arrival` or `reply`.
    Held(&'static str),
    /// As this system call is entered. `SIGKILL` comes before it is done, `SIGTERM` after it.
    Call(Call),
}

/// In order.
pub(super) const STEPS: &[Step] = &[
    step("before the refresh lock", "flock", 1, ".codex-auth-sdk.lock>, LOCK_EX", false),
    step("before the lock of the record", "flock", 2, "auth.json>, LOCK_EX", false),
    step("holding the refresh lock", "flock", 3, "auth.lock>, LOCK_EX", false),
    step("holding all locks, before the request", "flock", 5, "auth.json.lock>, LOCK_UN", false),
    step("temp file prepared", "fsync", 1, ".tmp>", false),
    step("about to note the doubt", "fsync", 2, ".tmp>", false),
    step("about to connect", "connect", 1, "127.0.0.1", false),
    Step { name: "request sent", at: At::Held("arrival"), has_unsaved_reply: true },
    Step { name: "token spent", at: At::Held("reply"), has_unsaved_reply: true },
    step("reply received", "fsync", 4, ".tmp>", true),
    step("temp file written", "fsync", 6, ".tmp>", false),
    step("about to take the commit locks", "flock", 7, "auth.lock>, LOCK_EX", false),
    step("before the rename", "renameat2", 1, "auth.json\"", false),
    step("after the rename", "unlink", 1, ".tmp\"", false),
    step("saved, holding all locks", "flock", 9, "auth.json.lock>, LOCK_UN", false),
    step("saved, before the folder is synced", "fsync", 7, "", false),
    step("saved, holding the refresh lock", "flock", 12, ".codex-auth-sdk.lock>, LOCK_UN", false),
];

const fn step(
    name: &'static str,
    call: &'static str,
    number: usize,
    shows: &'static str,
    has_unsaved_reply: bool,
) -> Step {
    let at = At::Call(Call { name: call, number, shows });
    Step { name, at, has_unsaved_reply }
}

impl Step {
    /// Ends a contender at this step. The error says that it did not end there.
    pub(super) fn end(
        &self,
        home: &Home,
        signal: Signal,
        language: Language,
    ) -> Result<(), String> {
        match &self.at {
            At::Held(at) => {
                home.realm().run("hold", &json!({"at": at}));
                let mut victim = home.start(language);
                victim.go();
                drop(home.realm().wait(&json!({"held": 1})));
                signal::send(signal.name(), &[victim.process().id()]);
                ended(&mut victim, signal)?;
                // The server goes on without its client.
                home.realm().run("release", &json!({}));
                drop(home.realm().wait(&json!({"grants": 1})));
                Ok(())
            }
            At::Call(call) => {
                let log = tempfile::NamedTempFile::new().expect("a trace");
                let what = format!("signal=SIG{}", signal.name());
                let command = call.traced(language, &what, log.path());
                let mut victim = Contender::start_by(
                    command,
                    language,
                    home.path(),
                    home.realm(),
                    home.options(),
                );
                victim.wait_until_ready();
                victim.go();
                ended(&mut victim, signal)?;
                call.check(log.path())
            }
        }
    }
}

/// Waits for the end of `victim`; whether it is that signal that ended it.
pub(super) fn ended(victim: &mut Contender, signal: Signal) -> Result<(), String> {
    if let Some(answer) = victim.try_answer() {
        return Err(format!("it answered before it was killed: {answer}"));
    }
    let status = victim.process().wait().expect("a child of ours");
    if status.signal() == Some(signal.number()) {
        return Ok(());
    }
    Err(format!("it was not the signal that ended it: {status}"))
}
