//! The protocol at any scale, driven deterministically: the code of the manager on a virtual clock,
//! with a store, an issuer, crashes, faults and foreign programs that one seed decides. The
//! guarantees are checked at every change, and a seed that breaks one breaks it again.

mod disk;
mod executor;
mod fate;
mod foreign;
mod hazards;
mod issuer;
mod journal;
mod ledger;
mod loss;
mod program;
mod record;
mod rules;
pub mod scale;
mod state;
mod storage;
mod tally;
mod world;

use std::ops::Range;
use std::sync::Arc;

use self::executor::Executor;
use self::hazards::Hazards;
use self::loss::Fortune;
use self::tally::Tally;
use self::world::World;
use crate::chance::{Chance, mix};
use crate::torture::Trial;

/// What runs are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Logins, logouts and switches of several accounts, before all else.
    Accounts,
    /// Everything.
    Everything,
}

impl Kind {
    /// As the arguments of `simulate` name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Everything => "everything",
        }
    }
}

/// What became of one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Broken guarantees.
    pub lost: Vec<String>,
    /// A hash of all that happened, in its order.
    pub trace: u64,
    /// The last of what happened, or all of it; a line each.
    pub journal: String,
    tally: Tally,
}

impl Outcome {
    /// What was counted.
    #[must_use]
    pub fn counted(&self) -> String {
        self.tally.to_string()
    }
}

/// Lets so many `managers` live through what `seed` decides.
#[must_use]
pub fn run(kind: Kind, managers: usize, seed: u64, keeps_all: bool) -> Outcome {
    let chance = Arc::new(Chance::new(mix(seed)));
    let hazards = Hazards::drawn(kind, managers, &chance);
    let executor = Executor::new(seed);
    let world = World::new(executor.clone(), chance, hazards, keeps_all);
    let end = fate::begin(&world);
    executor.run(end, || !world.state().lost.is_empty());
    let outcome = conclude(&world);
    executor.clear();
    outcome
}

/// Runs all `seeds`, on all processors.
#[must_use]
pub fn trial(kind: Kind, managers: usize, seeds: Range<u64>) -> Trial {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let outcomes = std::thread::scope(|scope| {
        let run_some = |first: u64| {
            let seeds = seeds.clone().skip(usize::try_from(first).expect("fits")).step_by(threads);
            seeds.map(|seed| (seed, run(kind, managers, seed, false))).collect::<Vec<_>>()
        };
        let first = 0..u64::try_from(threads).expect("fits");
        let threads: Vec<_> = first.map(|first| scope.spawn(move || run_some(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let mut trial = Trial::new(format!("simulation: {}, {managers} managers", kind.name()));
    let mut tally = Tally::default();
    for (seed, outcome) in outcomes {
        trial.tried += 1;
        trial.excepted += outcome.tally.excepted.values().sum::<u64>();
        let replay = format!("simulate {} {managers} {seed}", kind.name());
        let losses = outcome.lost.into_iter();
        trial.lost.extend(losses.map(|loss| format!("{loss}; to see it: {replay}")));
        tally.add(&outcome.tally);
    }
    trial.detail = tally.to_string();
    trial
}

fn conclude(world: &Arc<World>) -> Outcome {
    let mut state = world.state();
    if state.lost.is_empty() {
        match state.fortune(true) {
            Fortune::Lost(loss) => state.lost.push(loss),
            Fortune::Excepted(why) => *state.tally.excepted.entry(why).or_default() += 1,
            Fortune::Good => {}
        }
    }
    let (polls, order) = world.executor.trace();
    state.tally.polls = polls;
    state.tally.reads = state.disk.reads;
    state.tally.lock_tries = state.disk.lock_tries;
    Outcome {
        lost: state.lost.clone(),
        trace: mix(state.journal.hash() ^ order),
        journal: state.journal.text(),
        tally: state.tally.clone(),
    }
}
