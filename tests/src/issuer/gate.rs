//! Holding requests, so that a test can act in the middle of an exchange without a sleep.

use serde::Deserialize;

/// Which requests are held, and which are being held now.
#[derive(Default)]
pub(super) struct Gate {
    holds: Vec<Hold>,
    held: Vec<Held>,
    next_id: u64,
}

/// An order to hold the next requests that match.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hold {
    #[serde(default)]
    at: HoldPoint,
    #[serde(default = "once")]
    times: u32,
    /// Only for this refresh token (`a0`); any token without it.
    #[serde(default)]
    token: Option<String>,
}

/// Before the server has looked at the token, or when the answer is ready to go.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum HoldPoint {
    #[default]
    Arrival,
    Reply,
}

struct Held {
    id: u64,
    released: bool,
}

impl Gate {
    pub(super) fn add(&mut self, hold: Hold) {
        self.holds.push(hold);
    }

    /// Stops a request if a hold matches it; the id is what to wait for.
    pub(super) fn stop(&mut self, at: HoldPoint, token: &str) -> Option<u64> {
        let meant =
            |hold: &Hold| hold.at == at && hold.token.as_deref().is_none_or(|label| label == token);
        let place = self.holds.iter().position(meant)?;
        self.holds[place].times = self.holds[place].times.saturating_sub(1);
        self.holds.retain(|hold| hold.times > 0);
        self.next_id += 1;
        self.held.push(Held { id: self.next_id, released: false });
        Some(self.next_id)
    }

    /// Lets the oldest `count` go; without a count all of them, and nothing is held any more.
    pub(super) fn release(&mut self, count: Option<usize>) {
        if count.is_none() {
            self.holds.clear();
        }
        let waiting = self.held.iter_mut().filter(|held| !held.released);
        for held in waiting.take(count.unwrap_or(usize::MAX)) {
            held.released = true;
        }
    }

    /// Whether the request may go on. A request that a reset forgot may.
    pub(super) fn lets_through(&self, id: u64) -> bool {
        self.held.iter().all(|held| held.id != id || held.released)
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.held.retain(|held| held.id != id);
    }

    pub(super) fn held(&self) -> usize {
        self.held.iter().filter(|held| !held.released).count()
    }
}

fn once() -> u32 {
    1
}
