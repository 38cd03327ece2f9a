//! The real Codex CLI, as one more frontend that knows nothing of the others.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use codex_auth_tests::issuer::Realm;
use serde_json::Value;

use crate::Result;
use crate::table::Row;

/// Its name in the issuer's statistics.
const NAME: &str = "codex";

#[derive(Clone)]
pub(crate) struct Codex {
    program: PathBuf,
    home: PathBuf,
    url: String,
}

/// `codex exec`, again and again, until it is stopped.
pub(crate) struct Turns {
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<Result<Tally, String>>,
}

#[derive(Default)]
pub(crate) struct Tally {
    turns: u64,
    failed: Vec<String>,
    slowest: Duration,
}

impl Codex {
    pub(crate) fn new(program: &Path, home: &Path, realm: &Realm) -> Result<Self> {
        let url = realm.url();
        let config = format!(
            r#"model_provider = "lab"
chatgpt_base_url = "{url}/backend-api"
check_for_update_on_startup = false
[model_providers.lab]
name = "lab"
base_url = "{url}/v1"
wire_api = "responses"
requires_openai_auth = true
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
[otel]
exporter = "none"
[feedback]
enabled = false
"#
        );
        std::fs::write(home.join("config.toml"), config)?;
        Ok(Self { program: program.to_owned(), home: home.to_owned(), url })
    }

    /// Signs in, so that the record is the CLI's own.
    pub(crate) fn login(&self) -> Result<()> {
        let output = self.run(&["login", "--device-auth", "--experimental_issuer", &self.url])?;
        succeeded(&output).map_err(|what| format!("codex login: {what}").into())
    }

    /// One turn, which needs a good login.
    pub(crate) fn exec(&self) -> Result<(), String> {
        let output = self.run(&["exec", "--skip-git-repo-check", "say hi"]);
        succeeded(&output.map_err(|error| error.to_string())?)
    }

    pub(crate) fn keep_talking(&self) -> Turns {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (stop, codex) = (Arc::clone(&is_stopped), self.clone());
        let thread = thread::spawn(move || {
            let mut tally = Tally::default();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                tally.failed.extend(codex.exec().err());
                tally.turns += 1;
                tally.slowest = tally.slowest.max(start.elapsed());
            }
            Ok(tally)
        });
        Turns { is_stopped, thread }
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("CODEX_HOME", &self.home)
            .env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", format!("{}/oauth/token", self.url))
            .env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", NAME)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .output();
        output.map_err(|error| format!("{}: {error}", self.program.display()).into())
    }
}

impl Turns {
    pub(crate) fn stop(self) -> Result<Tally> {
        self.is_stopped.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the CLI's thread failed")??)
    }
}

impl Tally {
    pub(crate) fn row(&self, stats: &Value) -> Row {
        Row {
            is_ours: false,
            name: "Codex CLI (turns)",
            processes: 1,
            requests: self.turns,
            recovered: None,
            redemptions: stats["redeemers"][NAME].as_u64().unwrap_or_default(),
            logouts: self.failed.len() as u64,
            slowest_ms: self.slowest.as_secs_f64() * 1e3,
            errors: self.failed.clone(),
        }
    }
}

fn succeeded(output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last: Vec<_> = text.lines().rev().take(3).collect();
    Err(format!("{}: {}", output.status, last.join(" / ")))
}
