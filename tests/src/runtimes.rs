//! Whatever a manager is used from: any runtime or none, threads, processes, and callers that end
//! early.

pub mod chaos;
pub mod drive;
pub mod dropped;
pub mod languages;
pub mod world;

use std::time::SystemTime;

use crate::torture::Trial;

/// All of it at length, with seeds that are new every time. The bindings must have been built.
#[must_use]
pub fn at_length() -> Vec<Trial> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = now.unwrap_or_default().as_secs();
    let mut trials = dropped::after_every_poll();
    trials.extend(dropped::in_the_middle_of_an_exchange());
    trials.extend(chaos::played(500, seed));
    trials.extend(languages::python(20, seed));
    trials.extend(languages::node(20, seed));
    trials
}
