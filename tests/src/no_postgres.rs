//! Where tests have no PostgreSQL of their own: they start it by programs that only Linux has.

use std::convert::Infallible;

/// A server, of which there is none.
#[derive(Debug)]
pub struct Postgres(Infallible);

impl Postgres {
    /// Returns none.
    #[must_use]
    pub const fn start() -> Option<Self> {
        None
    }

    /// Returns whether there can be none.
    #[must_use]
    pub const fn is_denied() -> bool {
        true
    }

    /// Returns the URL of the database.
    #[must_use]
    pub const fn url(&self) -> String {
        match self.0 {}
    }

    /// Makes the tables for logins.
    pub const fn migrate(&self) {
        match self.0 {}
    }

    /// Runs `text`.
    pub const fn run(&self, _text: &str) {
        match self.0 {}
    }
}

/// Returns the rows that `text` comes to in the database at `url`.
///
/// # Panics
///
/// Always: there is no such database.
#[must_use]
pub fn ask(url: &str, _text: &str) -> Vec<Vec<String>> {
    panic!("there is no database at {url}");
}
