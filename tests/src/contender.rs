//! Processes that share one login: the programs `contender` of each language, as children.
//!
//! A contender says `{"ready": true}` once it has a manager, then answers every line of its
//! standard input with one line of JSON: `{"status", "unauthorized"}` of a request that came
//! through, or `{"error", "message"}`, and always `pending_save`; one in Rust also `events`. For the
//! line `read` it reads the login again and again instead: `{"reads"}`; for `logout` it signs out:
//! `{"removed", "revoked"}`.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use crate::issuer::Realm;
use crate::program;

/// What a contender is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The program of this package.
    Rust,
    /// Run by `$PYTHON` (default `python3`), which must have the package.
    Python,
    /// Run by `$NODE` (default `node`), with the addon of this repository.
    Node,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::Node];

    /// Its name, in small letters; the issuer counts requests by it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    /// The contender's command, still without arguments.
    ///
    /// # Panics
    ///
    /// If the contender in Rust has not been built.
    #[must_use]
    pub fn command(self) -> Command {
        match self {
            Self::Rust => {
                Command::new(program::beside_this_one("contender").expect("it has been built"))
            }
            Self::Python => script(program::python(), "python/contender.py"),
            Self::Node => script(program::node(), "node/contender.mjs"),
        }
    }
}

fn script(mut interpreter: Command, path: &str) -> Command {
    interpreter.arg(program::file(path));
    interpreter
}

/// A running contender. It is killed when this is dropped.
#[derive(Debug)]
pub struct Contender {
    language: Language,
    child: Child,
    /// There until its end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Contender {
    /// Starts one on the login in `home`, with `options` of a manager (see `tests/README.md`).
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(language: Language, home: &Path, realm: &Realm, options: &Value) -> Self {
        Self::start_by(language.command(), language, home, realm, options)
    }

    /// The same by another command, say one that traces [`Language::command`].
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start_by(
        mut command: Command,
        language: Language,
        home: &Path,
        realm: &Realm,
        options: &Value,
    ) -> Self {
        command.arg(home).args([&realm.url(), language.name(), &options.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("piped"));
        Self { language, child, input, output: BufReader::new(output) }
    }

    /// Waits until it has a manager.
    ///
    /// # Panics
    ///
    /// If it could not make one.
    pub fn wait_until_ready(&mut self) {
        assert_eq!(self.answer(), json!({"ready": true}), "{:?}", self.language);
    }

    /// Lets it make a request.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn go(&mut self) {
        self.try_go().expect("the contender listens");
    }

    /// Lets it read the login some hundred times.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn read(&mut self) {
        self.say("read").expect("the contender listens");
    }

    /// The same for one that may have ended.
    ///
    /// # Errors
    ///
    /// If it has.
    pub fn try_go(&mut self) -> io::Result<()> {
        self.say("go")
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{line}")
    }

    /// Lets it wait, a minute at most, until its refreshes are done and saved: `{"closed"}`.
    ///
    /// # Panics
    ///
    /// If it has ended.
    #[must_use]
    pub fn close(&mut self) -> Value {
        self.say("close").expect("the contender listens");
        self.answer()
    }

    /// Lets it sign out: `{"removed", "revoked"}`.
    ///
    /// # Panics
    ///
    /// If it has ended.
    #[must_use]
    pub fn log_out(&mut self) -> Value {
        self.say("logout").expect("the contender listens");
        self.answer()
    }

    /// Its next answer.
    ///
    /// # Panics
    ///
    /// If it has ended.
    #[must_use]
    pub fn answer(&mut self) -> Value {
        self.try_answer().unwrap_or_else(|| panic!("{:?} has ended", self.language))
    }

    /// Its next answer; none if it has ended.
    #[must_use]
    pub fn try_answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Ends its input, upon which it ends, and waits for that.
    ///
    /// # Panics
    ///
    /// If it cannot be waited for.
    pub fn end(&mut self) -> ExitStatus {
        drop(self.input.take());
        self.child.wait().expect("it ends")
    }

    /// What it is written in.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
