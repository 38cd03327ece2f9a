//! The pause of the background refresh after a failure.

use std::time::Duration;

use super::demand::Demand;
use crate::snapshot::CodexAuth;
use crate::state::State;

/// The longest pause, unless the server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Starts a pause after `demand` was not met, of `retry_after` at least.
pub(super) fn begin_pause(state: &State, demand: &Demand, retry_after: Option<Duration>) {
    let Some(token) = demand.auth.access_fingerprint() else { return };
    let pause = retry_after.unwrap_or_default().max(usual_pause(state));
    state.memory.pause_background(token, state.environment.clock.elapsed().saturating_add(pause));
}

/// Returns a random pause between two tries in the background.
pub(crate) fn usual_pause(state: &State) -> Duration {
    LONGEST_PAUSE / 6 + state.environment.jitter(LONGEST_PAUSE * 5 / 6)
}

/// Returns how much of the pause for `auth` is left; none if a background refresh may start.
pub(crate) fn pause_left(state: &State, auth: &CodexAuth) -> Option<Duration> {
    let elapsed = state.environment.clock.elapsed();
    auth.access_fingerprint().and_then(|token| state.memory.pause_left(token, elapsed))
}
