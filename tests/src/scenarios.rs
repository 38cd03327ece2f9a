//! What `make torture` tries: at length what the tests try briefly.

use std::process::ExitCode;
use std::time::SystemTime;

use crate::contender::Language;
use crate::log::Log;
use crate::simulation::{self, Kind};
use crate::torture::{Trial, Trials, head};
use crate::{crash, endpoint_failure, fleet, foreign, guarded, runtimes, store_failure};

/// A scenario's name and its run at full length.
type Scenario = (&'static str, fn() -> Trials);

const SCENARIOS: &[Scenario] = &[
    ("crashes", || Box::new(crashes().into_iter())),
    ("stops", || Box::new(stops().into_iter())),
    ("processes", || Box::new(std::iter::once_with(processes))),
    ("fleet", fleet::at_length),
    ("store", store_failure::torture),
    ("foreign", foreign::at_length::with_scripts),
    ("codex", foreign::at_length::with_clis),
    ("guardian", guarded::at_length),
    ("runtimes", || Box::new(runtimes::at_length().into_iter())),
    ("accounts", || Box::new(std::iter::once_with(accounts))),
    ("simulation", simulated),
    ("scale", || Box::new(simulation::scale::trials(&[10, 100, 1_000, 10_000]).into_iter())),
    // The last one: the log that it searches is of everything from then on.
    ("endpoint", endpoint),
];

/// Repeats a random sequence where `SEED` is the one that a loss names.
fn endpoint() -> Trials {
    let log = Log::of_everything();
    let named = std::env::var_os("SEED").and_then(|seed| seed.to_str()?.parse().ok());
    let now = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
    let seed = named.unwrap_or_else(now);
    let alone = [endpoint_failure::once as fn(&Log) -> Trial, endpoint_failure::in_a_row];
    let alone = {
        let log = log.clone();
        alone.into_iter().map(move |alone| alone(&log))
    };
    // In parts, so that what has been done is seen.
    let random = (0..20).map(move |part| endpoint_failure::random(100, seed + 100 * part, &log));
    let crowds: [fn() -> Trial; 3] = [
        || endpoint_failure::rejecting_api(&Language::ALL, 32, 20),
        || endpoint_failure::dead_login(&Language::ALL, 32),
        || endpoint_failure::outage(&Language::ALL, 32),
    ];
    Box::new(alone.chain(random).chain(crowds.into_iter().map(|crowd| crowd())))
}

fn accounts() -> Trial {
    simulation::trial(Kind::Accounts, 5, 0..50_000)
}

fn simulated() -> Trials {
    let sizes = [(30, 0..5_000), (1_000, 0..50), (10_000, 0..5)];
    let trial = |(managers, seeds)| simulation::trial(Kind::Everything, managers, seeds);
    Box::new(sizes.into_iter().map(trial))
}

/// Runs the scenarios with the names `wanted`, or all of them, and prints what was tried, how
/// often, and what was lost. The exit code says whether anything was.
#[expect(clippy::print_stdout, reason = "the table")]
#[must_use]
pub fn run(wanted: &[String]) -> ExitCode {
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

fn processes() -> Trial {
    crash::rotate(256, 20, &Language::ALL)
}
