//! The real Codex CLI, as one more frontend that knows nothing of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use codex_auth_tests::codex_cli::CodexCli;
use serde_json::Value;

use crate::Result;
use crate::table::Row;

/// Its name in the issuer's statistics.
pub(crate) const NAME: &str = "codex";

/// `codex exec`, again and again, until it is stopped.
pub(crate) struct Turns {
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

#[derive(Default)]
pub(crate) struct Tally {
    turns: u64,
    failed: Vec<String>,
    slowest: Duration,
}

impl Turns {
    pub(crate) fn start(codex: &CodexCli) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (stop, codex) = (Arc::clone(&is_stopped), codex.clone());
        let thread = thread::spawn(move || {
            let mut tally = Tally::default();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                tally.failed.extend(codex.exec().err());
                tally.turns += 1;
                tally.slowest = tally.slowest.max(start.elapsed());
            }
            tally
        });
        Self { is_stopped, thread }
    }

    pub(crate) fn stop(self) -> Result<Tally> {
        self.is_stopped.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the CLI's thread failed")?)
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
