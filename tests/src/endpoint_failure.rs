//! A token endpoint that fails in every way that it can, for one manager, for several, and for crowds
//! of processes. What was lost is read from the issuer's records.

mod clock;
mod crowd;
mod failure;
mod route;
mod sequence;
mod sockets;

use std::sync::Arc;

use tokio::runtime::Runtime;

use self::failure::Failure;
use self::sequence::{Sequence, Tally};
use self::sockets::Sockets;
use crate::chance::Chance;
use crate::issuer::Issuer;
use crate::log::Log;
use crate::tier;
use crate::torture::Trial;

pub use self::crowd::{dead_login, outage, rejecting_api};

/// The longest random sequence of failures.
const LONGEST: usize = 8;

/// Each failure once, on a server without a grace window for spent tokens.
#[must_use]
pub fn once(log: &Log) -> Trial {
    repeated(failure::every_kind(), 1, 0, log)
}

/// Each failure more often than a manager asks, on a server with a grace window for spent tokens.
/// `make test` leaves out those that only a timeout ends.
#[must_use]
pub fn in_a_row(log: &Log) -> Trial {
    let mut kinds = failure::every_kind();
    kinds.retain(|failure| tier::is_whole() || !failure.takes_all_the_time());
    repeated(kinds, 6, GRACE_MS, log)
}

fn repeated(kinds: Vec<Failure>, times: usize, grace_ms: u64, log: &Log) -> Trial {
    let sequences = kinds.into_iter().map(|failure| Sequence {
        name: format!("{times} times {failure:?}"),
        plan: vec![failure; times],
        grace_ms,
        managers: 1,
    });
    run(&format!("every failure, {times} times"), sequences, log)
}

/// Random sequences of failures, as `seed` decides; sequence `n` of seed `s` is the first one of seed
/// `s + n`.
#[must_use]
pub fn random(count: u64, seed: u64, log: &Log) -> Trial {
    let kinds = failure::every_kind();
    let sequences = (0..count).map(|number| {
        let seed = seed.wrapping_add(number);
        let chance = Chance::new(seed);
        let length = 1 + chance.below(LONGEST);
        Sequence {
            name: format!("seed {seed}"),
            plan: (0..length).map(|_| Failure::random(&kinds, &chance)).collect(),
            grace_ms: chance.pick(&[0, GRACE_MS]),
            managers: 1 + chance.below(3),
        }
    });
    run(&format!("random failures, seed {seed}"), sequences, log)
}

/// Longer than any sequence takes.
const GRACE_MS: u64 = 600_000;

fn run(what: &str, sequences: impl Iterator<Item = Sequence>, log: &Log) -> Trial {
    let mut trial = Trial::new(what);
    let mut tally = Tally::default();
    let runtime = Runtime::new().expect("a runtime");
    let issuer = Issuer::start().expect("an issuer");
    let sockets = Arc::new(Sockets::open(issuer.address()));
    for sequence in sequences {
        runtime.block_on(sequence.run(&issuer, &sockets, log, &mut tally, &mut trial));
    }
    trial.detail = tally.to_string();
    trial
}
