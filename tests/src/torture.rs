//! What long runs report: what was tried, how often, and what was lost.

use std::fmt::{self, Display};
use std::ops::Add;

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What was tried.
    pub what: String,
    /// How often.
    pub tried: u64,
    /// Losses that the guarantee itself names as exceptions, counted by the issuer's records.
    pub excepted: u64,
    /// What was lost against a guarantee, a line each. Must be empty.
    pub lost: Vec<String>,
    /// What else was counted or measured.
    pub detail: String,
}

impl Trial {
    /// Nothing has been tried yet.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), tried: 0, excepted: 0, lost: Vec::new(), detail: String::new() }
    }

    /// Notes a loss unless `holds`.
    pub fn check(&mut self, holds: bool, loss: impl FnOnce() -> String) {
        if !holds {
            self.lost.push(loss());
        }
    }

    /// For tests: nothing may be lost, and something must have been tried.
    ///
    /// # Panics
    ///
    /// With the row, where that is not so.
    pub fn assert_nothing_lost(&self) {
        assert!(self.tried > 0, "nothing was tried: {self}");
        assert!(self.lost.is_empty(), "{self}");
    }
}

/// Two parts of one row.
impl Add for Trial {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self.tried += other.tried;
        self.excepted += other.excepted;
        self.lost.extend(other.lost);
        self
    }
}

impl Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tried, excepted, lost) = (self.tried, self.excepted, self.lost.len());
        write!(f, "{:<58} {tried:>7} {excepted:>8} {lost:>5}  {}", self.what, self.detail)?;
        self.lost.iter().try_for_each(|loss| write!(f, "\n    lost: {loss}"))
    }
}

/// Rows of the table, each tried when it is asked for, so that long runs show what they have done.
pub type Trials = Box<dyn Iterator<Item = Trial>>;

/// The head of a table of trials.
#[must_use]
pub fn head() -> String {
    format!("{:<58} {:>7} {:>8} {:>5}  {}", "scenario", "tried", "excepted", "lost", "counted")
}
