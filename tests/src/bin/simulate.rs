//! Replays runs of the simulation. Usage: `simulate accounts|everything MANAGERS SEED` prints what
//! happened in one run, a line each; `FIRST..END` in the place of the seed prints what was lost in
//! each run.

use std::process::ExitCode;

use codex_auth_tests::simulation::{Kind, run, trial};
use codex_auth_tests::torture::head;

#[expect(clippy::print_stdout, reason = "the journal")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, managers, seeds] = arguments.as_slice() else {
        println!("usage: simulate accounts|everything MANAGERS SEED|FIRST..END");
        return ExitCode::FAILURE;
    };
    let kind = if kind == "accounts" { Kind::Accounts } else { Kind::Everything };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let managers = usize::try_from(number(managers)).expect("fits");
    let is_kept = if let Some((first, end)) = seeds.split_once("..") {
        let trial = trial(kind, managers, number(first)..number(end));
        println!("{}\n{trial}", head());
        trial.lost.is_empty()
    } else {
        let outcome = run(kind, managers, number(seeds), true);
        println!("{}{}\ntrace {:x}", outcome.journal, outcome.counted(), outcome.trace);
        outcome.lost.iter().for_each(|loss| println!("lost: {loss}"));
        outcome.lost.is_empty()
    };
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
