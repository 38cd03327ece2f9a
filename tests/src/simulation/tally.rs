//! What is counted in a run, or in many.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Times that a task ran.
    pub(super) polls: u64,
    pub(super) reads: u64,
    pub(super) lock_tries: u64,
    /// To the API.
    pub(super) requests: u64,
    /// Of the SDK.
    pub(super) calls: u64,
    /// Requests that were rejected and came through after all.
    pub(super) recoveries: u64,
    /// The longest call.
    pub(super) slowest: Duration,
    /// Requests to the token endpoint, and grants that arrived.
    pub(super) presentations: u64,
    pub(super) redemptions: u64,
    pub(super) sign_ins: u64,
    pub(super) crashes: u64,
    pub(super) stops: u64,
    pub(super) foreign_turns: u64,
    /// Logins that were lost by one of the exceptions, by which.
    pub(super) excepted: BTreeMap<&'static str, u64>,
    /// Errors that callers got, by code.
    pub(super) errors: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.polls += other.polls;
        self.reads += other.reads;
        self.lock_tries += other.lock_tries;
        self.requests += other.requests;
        self.calls += other.calls;
        self.slowest = self.slowest.max(other.slowest);
        self.recoveries += other.recoveries;
        self.presentations += other.presentations;
        self.redemptions += other.redemptions;
        self.sign_ins += other.sign_ins;
        self.crashes += other.crashes;
        self.stops += other.stops;
        self.foreign_turns += other.foreign_turns;
        for (counts, others) in
            [(&mut self.excepted, &other.excepted), (&mut self.errors, &other.errors)]
        {
            for (name, count) in others {
                *counts.entry(name).or_default() += count;
            }
        }
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} polls, {} requests, {} recoveries, {} calls (the longest {:.1?}), {} redemptions \
             of {} presentations, {} store reads, {} lock tries, {} logins, {} crashes, {} stops, {} \
             foreign turns",
            self.polls,
            self.requests,
            self.recoveries,
            self.calls,
            self.slowest,
            self.redemptions,
            self.presentations,
            self.reads,
            self.lock_tries,
            self.sign_ins,
            self.crashes,
            self.stops,
            self.foreign_turns,
        )?;
        let list = |f: &mut fmt::Formatter<'_>, what, counts: &BTreeMap<&'static str, u64>| {
            let text: Vec<_> =
                counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
            if text.is_empty() { Ok(()) } else { write!(f, "; {what}: {}", text.join(", ")) }
        };
        list(f, "excepted", &self.excepted)?;
        list(f, "errors", &self.errors)
    }
}
