//! The chaos tests of Python and Node at length: what each of their tests reports is a row.

use std::process::Command;

use serde_json::Value;

use crate::program;
use crate::torture::Trial;

const PYTHON: [&str; 4] =
    ["test_threads.py", "test_asyncio_chaos.py", "test_multiprocessing.py", "test_fork.py"];

const NODE: [&str; 2] = ["chaos.test.mjs", "cluster.test.mjs"];

/// Lines of a failure's output that are worth a row of the table.
const LAST_LINES: usize = 30;

/// Runs the chaos tests of `$PYTHON` (default `python3`), with so many times as many rounds.
#[must_use]
pub fn python(times: u64, seed: u64) -> Vec<Trial> {
    let mut pytest = program::python();
    pytest.args(["-m", "pytest", "-q", "--timeout=7200"]);
    pytest.args(PYTHON.map(|file| program::file("python").join(file)));
    run(pytest, "python", times, seed)
}

/// The same for `$NODE` (default `node`).
#[must_use]
pub fn node(times: u64, seed: u64) -> Vec<Trial> {
    let mut node = program::node();
    node.arg("--test").args(NODE.map(|file| program::file("node").join(file)));
    run(node, "node", times, seed)
}

fn run(mut tests: Command, language: &str, times: u64, seed: u64) -> Vec<Trial> {
    let report = tempfile::NamedTempFile::new().expect("a file");
    let tests = tests
        .env("TORTURE", times.to_string())
        .env("TORTURE_SEED", seed.to_string())
        .env("TORTURE_REPORT", report.path());
    let ended = tests.output().unwrap_or_else(|error| panic!("{tests:?}: {error}"));
    let lines = std::fs::read_to_string(report.path()).expect("a report");
    let mut trials: Vec<Trial> = lines.lines().map(|line| row(language, line)).collect();
    if !ended.status.success() {
        let mut failed = Trial::new(format!("{language}: tests of seed {seed}"));
        failed.lost.push(last_lines(&String::from_utf8_lossy(&ended.stdout)));
        trials.push(failed);
    }
    trials
}

fn row(language: &str, line: &str) -> Trial {
    let line: Value = serde_json::from_str(line).expect("a line of JSON");
    let what = line["what"].as_str().unwrap_or_default().trim_start_matches("test_");
    let mut trial = Trial::new(format!("{language}: {}", what.replace('_', " ")));
    trial.tried = line["tried"].as_u64().unwrap_or(0);
    trial
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n    ")
}
