//! A contender under `strace`: what it locks and for how long, and what others do while it is held
//! up in the middle of a save.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::SharedLogin;
use super::program::write_in_parts;
use super::scene::expect;
use crate::codex_cli::CodexCli;
use crate::contender::{Contender, Language};
use crate::torture::Trial;

/// The Codex CLI's own, in its order.
const COMMIT_LOCKS: [&str; 2] = ["auth.lock", "auth.json.lock"];

/// The name of the ledger's file, where a call ends with it.
const LEDGER: &str = "/.codex-auth-sdk.json\")";

/// Saves of one store: as many as rejected tokens may cause in a burst.
const SAVES: u32 = 4;

/// How long the traced rename is held up, in microseconds; others need a fraction of it.
const HOLD_UP: u32 = 1_000_000;

/// A contender that is not there by then never will be.
const PATIENCE: Duration = Duration::from_secs(20);

/// Some saves in each of `stores`, each with the commit locks in the CLI's order, and nothing slow
/// while they are held.
#[must_use]
pub fn commit_locks(stores: u32) -> Trial {
    let mut trial = Trial::new("a save takes the CLI's locks in its order, briefly");
    let longest = (0..stores).map(|_| commit_locks_of_a_store(&mut trial)).fold(0.0, f64::max);
    let saves = stores * SAVES;
    trial.check(trial.tried == u64::from(saves), || "not every save was seen".to_owned());
    trial.detail = format!("longest hold {:.1} ms, traced", longest * 1e3);
    trial
}

/// How long the commit locks of one store were held, at the longest.
fn commit_locks_of_a_store(trial: &mut Trial) -> f64 {
    let login = SharedLogin::new(&json!({}));
    let traces = tempfile::tempdir().expect("a folder");
    let mut contender = start(&login, traces.path(), "trace=flock,fsync,rename,renameat2");
    for save in 0..SAVES {
        login.sign_in(&format!("r{save}_"), "acct-a");
        login.realm().run("kill_access", &json!({}));
        contender.go();
        let answer = contender.answer();
        trial.check(answer["status"] == 200, || format!("save {save}: {answer}"));
    }
    drop(contender);
    let mut longest = 0.0;
    for trace in fs::read_dir(traces.path()).expect("traces") {
        let trace = fs::read_to_string(trace.expect("a trace").path()).expect("a trace");
        let mut holder = Holder::default();
        trace.lines().for_each(|line| holder.follow(line, trial));
        longest = f64::max(longest, holder.longest);
    }
    longest
}

/// What one thread has locked.
#[derive(Default)]
struct Holder {
    held: Vec<&'static str>,
    since: f64,
    longest: f64,
}

impl Holder {
    /// Goes on by one line, such as `17.5 flock(9</home/auth.lock>, LOCK_EX|LOCK_NB) = 0`.
    fn follow(&mut self, line: &str, trial: &mut Trial) {
        let Some((time, call)) = line.split_once(' ').filter(|(_, call)| call.ends_with("= 0"))
        else {
            return;
        };
        let time: f64 = time.parse().expect("a time");
        let lock = COMMIT_LOCKS.into_iter().find(|lock| call.contains(&format!("/{lock}>")));
        match (call.split('(').next(), lock) {
            (Some("flock"), Some(lock)) if call.contains("LOCK_EX") => {
                trial.check(COMMIT_LOCKS[self.held.len()] == lock, || format!("order: {line}"));
                self.since = if self.held.is_empty() { time } else { self.since };
                self.held.push(lock);
            }
            (Some("flock"), Some(lock)) => {
                trial.check(self.held.pop() == Some(lock), || format!("order: {line}"));
                self.longest = self.longest.max(time - self.since);
            }
            // The ledger has a lock of its own.
            (Some("rename" | "renameat2"), None) if !call.contains(LEDGER) => {
                trial.check(self.held == COMMIT_LOCKS, || format!("without locks: {line}"));
                trial.tried += 1;
            }
            (Some("fsync"), None) => {
                trial.check(self.held.is_empty(), || format!("under locks: {line}"));
            }
            _ => {}
        }
    }
}

/// What a program that takes no lock does after ours has looked and before it writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Login,
    Logout,
}

/// Changes by a program without locks at the worst moment, so many times each.
#[must_use]
pub fn changes_before_our_write(rounds: u32) -> Trial {
    let mut trial = Trial::new("a change without locks right before our write");
    for _ in 0..rounds {
        for change in [Change::Login, Change::Logout] {
            let end = change_before_our_write(change);
            trial.tried += 1;
            trial.check(end.is_ok(), || format!("{change:?}: {end:?}"));
        }
    }
    trial
}

fn change_before_our_write(change: Change) -> Result<(), String> {
    let login = SharedLogin::new(&json!({}));
    let other = login.realm().call("login", &json!({"name": "b"}));
    let other = other["text"].as_str().ok_or("no record")?;
    let traces = tempfile::tempdir().expect("a folder");
    let mut contender = start(&login, traces.path(), &hold_up());
    login.realm().run("kill_access", &json!({"token": "a0"}));
    contender.go();
    wait_for_our_write(login.home());
    let path = login.home().join("auth.json");
    match change {
        Change::Login => write_in_parts(&path, other, || {}),
        Change::Logout => fs::remove_file(&path),
    }
    .map_err(|error| error.to_string())?;
    let answer = contender.answer();
    let stored = login.stored();
    let expected = (change == Change::Login).then_some(other);
    expect(stored.as_deref() == expected, || format!("{answer}, and it was undone: {stored:?}"))
}

/// A CLI that is idle refreshes a newer login while ours is in the middle of its save, so many
/// times: neither fails.
///
/// # Panics
///
/// If the CLI cannot be started.
#[must_use]
pub fn saves_of_a_cli_during_ours(program: &Path, rounds: u32) -> Trial {
    let mut trial = Trial::new("a CLI saves while ours is held up in its save");
    for _ in 0..rounds {
        let login = SharedLogin::new(&json!({}));
        let cli = CodexCli::new(program, login.home(), login.realm(), "codex");
        let mut cli = cli.expect("configured").app_server().expect("it starts");
        let traces = tempfile::tempdir().expect("a folder");
        let mut contender = start(&login, traces.path(), &hold_up());
        login.realm().run("kill_access", &json!({}));
        contender.go();
        wait_for_our_write(login.home());
        login.sign_in("b", "acct-a");
        login.realm().run("kill_access", &json!({}));
        let turn = cli.turn();
        trial.check(turn.is_ok(), || format!("the CLI failed: {turn:?}"));
        // Ours may have found the newer login before the CLI had refreshed it, so it asks again.
        drop(contender.answer());
        contender.go();
        let answer = contender.answer();
        trial.check(answer["status"] == 200, || format!("ours failed: {answer}"));
        trial.check(login.is_live_in_the_end(), || "the login is dead".to_owned());
        trial.tried += 1;
    }
    trial
}

/// Returns when ours has a whole record ready and holds the locks to put it in its place.
fn wait_for_our_write(home: &Path) {
    let start = Instant::now();
    while !(has_filled_temp(home) && is_locked(&home.join(COMMIT_LOCKS[1]))) {
        assert!(start.elapsed() < PATIENCE, "ours never saves");
    }
}

/// For `strace`: hold up the first replacement of a record, which is an exchange.
fn hold_up() -> String {
    format!("inject=renameat2:delay_enter={HOLD_UP}:when=1")
}

fn has_filled_temp(home: &Path) -> bool {
    let files = fs::read_dir(home).expect("a folder").flatten().map(|file| file.path());
    let mut temps = files.filter(|path| path.extension() == Some(OsStr::new("tmp")));
    temps.any(|path| fs::read(path).is_ok_and(|text| text.ends_with(b"}")))
}

fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_err())
}

/// A contender that is ready, each thread of it traced in a file of its own.
fn start(login: &SharedLogin, traces: &Path, expression: &str) -> Contender {
    let program = Language::Rust.command();
    let mut command = Command::new("strace");
    command.args(["-ff", "-ttt", "-y", "--seccomp-bpf", "-e", expression, "-o"]);
    command.arg(traces.join("thread")).arg(program.get_program()).args(program.get_args());
    command.stderr(Stdio::null());
    let realm = login.realm();
    let mut contender =
        Contender::start_by(command, Language::Rust, login.home(), realm, &json!({}));
    contender.wait_until_ready();
    contender
}
