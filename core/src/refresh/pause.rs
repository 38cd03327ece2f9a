//! How long a failed refresh is not repeated in the background.

use std::time::Duration;

use super::demand::Demand;
use crate::snapshot::CodexAuth;
use crate::state::State;

/// The longest pause, where the failure does not ask for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Begins a pause after a failure to meet `demand`.
pub(super) fn begin_pause(state: &State, demand: &Demand, retry_after: Option<Duration>) {
    let Some(token) = demand.auth.access_fingerprint() else { return };
    let pause = retry_after.unwrap_or_default().max(usual_pause(state));
    state.memory.pause_background(token, state.environment.clock.elapsed().saturating_add(pause));
}

/// How long after a failure the background tries again.
pub(crate) fn usual_pause(state: &State) -> Duration {
    LONGEST_PAUSE / 6 + state.environment.jitter(LONGEST_PAUSE * 5 / 6)
}

/// How long `auth` is not to be refreshed in the background yet.
pub(crate) fn pause_left(state: &State, auth: &CodexAuth) -> Option<Duration> {
    let elapsed = state.environment.clock.elapsed();
    auth.access_fingerprint().and_then(|token| state.memory.pause_left(token, elapsed))
}
