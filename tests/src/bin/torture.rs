//! Tries at length what the tests try briefly, and prints what was tried, how often, and what was
//! lost. Usage: `torture [SCENARIO...]`; without names all of them. Ends with 1 if anything was.

use std::process::ExitCode;
use std::time::Duration;

use codex_auth_tests::contender::Language;
use codex_auth_tests::torture::{Trial, head};
use codex_auth_tests::{crash, foreign, runtimes, store_failure};

/// A scenario's name and its run at full length.
type Scenario = (&'static str, fn() -> Vec<Trial>);

const SCENARIOS: &[Scenario] = &[
    ("crashes", crashes),
    ("stops", stops),
    ("processes", processes),
    ("store", store_failure::torture),
    ("foreign", foreign::at_length::with_scripts),
    ("codex", foreign::at_length::with_clis),
    ("runtimes", runtimes::at_length),
];

#[expect(clippy::print_stdout, reason = "the table")]
fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    println!("{}", head());
    let mut is_lost = false;
    for (_, run) in SCENARIOS.iter().filter(|(name, _)| is_wanted(name)) {
        for trial in run() {
            println!("{trial}");
            is_lost |= !trial.lost.is_empty();
        }
    }
    if is_lost { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// 2,000 kills.
fn crashes() -> Vec<Trial> {
    let mut rows = crash::kills::at_steps(1_200, &Language::ALL);
    rows.extend(crash::kills::at_random(800, &Language::ALL));
    rows
}

fn stops() -> Vec<Trial> {
    let mut rows = crash::stops::at_steps(20, &Language::ALL);
    rows.extend(crash::stops::at_random(300, &Language::ALL));
    rows
}

fn processes() -> Vec<Trial> {
    vec![crash::rotate(256, 20, Duration::from_secs(20), &Language::ALL)]
}
