//! What happened, in order: the last of it for whoever reads about a violation, all of it as a
//! hash, by which two runs are the same or not.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::executor::ProcessId;
use super::ledger::{Client, PairId};

/// How much is kept of a run that nobody watches.
const MOST_KEPT: usize = 120;

#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Event {
    Started(ProcessId),
    Killed(ProcessId),
    Stopped(ProcessId),
    Resumed(ProcessId),
    /// A manager was made, in the process's so-many-th life.
    Opened(ProcessId, u32),
    /// The refresh lock was taken.
    Locked(ProcessId),
    Unlocked(ProcessId),
    /// A request to the API with a snapshot, and its status.
    Sent(ProcessId, Option<PairId>, u16),
    Called(ProcessId, &'static str),
    Ended(ProcessId, &'static str, &'static str),
    Cancelled(ProcessId),
    /// A refresh token was sent to the issuer.
    Presented(Client, Option<PairId>),
    Answered(Client, &'static str),
    /// A pair reached who asked for it.
    Delivered(Client, PairId),
    Wrote(Client, &'static str, Option<PairId>),
    Deleted(Client),
    Failed(ProcessId, &'static str),
    SignedIn(PairId),
    AccessKilled(PairId),
    FamilyRevoked(usize, &'static str),
}

#[derive(Debug)]
pub(super) struct Journal {
    events: VecDeque<(Duration, Event)>,
    most: usize,
    hasher: DefaultHasher,
}

impl Journal {
    /// A journal that keeps everything, or the last of it.
    pub(super) fn new(keeps_all: bool) -> Self {
        let most = if keeps_all { usize::MAX } else { MOST_KEPT };
        Self { events: VecDeque::new(), most, hasher: DefaultHasher::new() }
    }

    pub(super) fn note(&mut self, now: Duration, event: Event) {
        (now, event).hash(&mut self.hasher);
        if self.events.len() == self.most {
            self.events.pop_front();
        }
        self.events.push_back((now, event));
    }

    pub(super) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// What is kept, a line each.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (at, event) in &self.events {
            writeln!(text, "{:>12.4} {event:?}", at.as_secs_f64()).expect("memory");
        }
        text
    }
}
