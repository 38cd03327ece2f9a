//! A frontend: a process in one of the languages, and the tally that it prints.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use codex_auth_tests::issuer::Realm;
use serde::Deserialize;

use crate::Result;
use crate::options::Options;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Language {
    Rust,
    Python,
    Node,
}

impl Language {
    pub(crate) const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::Node];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    fn command(self, options: &Options) -> Result<Command> {
        let script = |path: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        Ok(match self {
            Self::Rust => Command::new(beside_this_program("frontend")?),
            Self::Python => {
                let mut command = Command::new(&options.python);
                command.arg(script("python/frontend.py"));
                command
            }
            Self::Node => {
                let mut command = Command::new(&options.node);
                command.arg(script("node/frontend.mjs"));
                command
            }
        })
    }
}

/// What a frontend has done so far.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) recovered: u64,
    pub(crate) logouts: u64,
    pub(crate) slowest_ms: f64,
    pub(crate) errors: Vec<String>,
}

pub(crate) struct Frontend {
    pub(crate) language: Language,
    child: Child,
    tally: Arc<Mutex<Tally>>,
    reader: Option<JoinHandle<()>>,
}

impl Frontend {
    pub(crate) fn start_all(options: &Options, home: &Path, realm: &Realm) -> Result<Vec<Self>> {
        let languages = Language::ALL.into_iter().cycle().take(3 * options.processes);
        languages.map(|language| Self::start(language, options, home, realm)).collect()
    }

    fn start(language: Language, options: &Options, home: &Path, realm: &Realm) -> Result<Self> {
        let mut command = language.command(options)?;
        command.arg(home).args([realm.url().as_str(), language.name()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let output = child.stdout.take().ok_or("no output")?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let latest = Arc::clone(&tally);
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                if let Ok(tally) = serde_json::from_str(&line) {
                    *latest.lock().unwrap_or_else(PoisonError::into_inner) = tally;
                }
            }
        });
        Ok(Self { language, child, tally, reader: Some(reader) })
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends its input, and with it the program.
    pub(crate) fn stop(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| "the reader of a frontend failed")?;
        }
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("a {} frontend ended with {status}", self.language.name()).into());
        }
        Ok(())
    }
}

impl Drop for Frontend {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program that was built together with this one.
fn beside_this_program(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let path = program.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() { Ok(path) } else { Err(format!("{} is not built", path.display()).into()) }
}
