//! The guardian: a background task that does what [`fresh_auth`](crate::AuthManager::fresh_auth)
//! does for a caller.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::background::{Background, Signal};
use crate::clock::Timing;
use crate::ledger::Knowledge;
use crate::refresh::{Demand, Purpose, Refresh, pause_left, usual_pause};
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::state::State;

/// The longest pause between two looks at the wall clock. While a machine sleeps its timers stand
/// still, and its tokens go on to expire.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// How long before the expiry of a token the Codex CLI refreshes it.
const CODEX_WINDOW: TimeDelta = TimeDelta::minutes(5);

/// A background task that refreshes the login before it expires; see [`AuthManager::keep_fresh`].
///
/// It keeps its manager alive. In a forked child it does not run: the child must start its own.
///
/// [`AuthManager::keep_fresh`]: crate::AuthManager::keep_fresh
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct KeepFresh(Background);

impl KeepFresh {
    /// Starts the task that keeps the snapshot in `state` fresh.
    pub(crate) fn start(state: Arc<State>, refresh: Arc<Refresh>) -> Self {
        let environment = state.environment.clone();
        let mut guardian = Guardian { state, refresh, delay: None };
        Self(Background::start(&environment, |signal| async move { guardian.guard(&signal).await }))
    }

    /// Ends the task, as dropping this does. A refresh that is in flight goes on.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// How long after it is due one token is refreshed, so that many guardians do not refresh at the
/// same moment.
#[derive(Debug, Clone, Copy)]
struct Delay {
    token: Fingerprint,
    delay: TimeDelta,
}

/// The guardian of one manager.
struct Guardian {
    state: Arc<State>,
    refresh: Arc<Refresh>,
    delay: Option<Delay>,
}

impl Guardian {
    async fn guard(&mut self, signal: &Signal) {
        while !signal.is_stopped() {
            let pause = self.look_after().await;
            signal.pause(pause.min(LONGEST_LOOK), &self.state.environment).await;
        }
    }

    /// Follows the store, and refreshes its login if that is due. Returns how long to wait until
    /// the next look.
    async fn look_after(&mut self) -> Duration {
        let view = match self.state.reload().await {
            Ok(view) => view,
            Err(error) => {
                tracing::debug!(%error, "the store cannot be read for now");
                return usual_pause(&self.state);
            }
        };
        self.refresh.put_right(&view);
        let Some(auth) = view.auth.as_ref().filter(|auth| self.state.may_redeem(auth)) else {
            return LONGEST_LOOK;
        };
        let pause = self.time_to_refresh(auth);
        if !pause.is_zero() {
            return pause;
        }
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Proactive };
        match self.refresh.wait_for(demand).await {
            Ok(Ok(_)) => Duration::ZERO,
            // A refresh that has failed has set the pause, if it was started.
            _ => pause_left(&self.state, auth).unwrap_or(LONGEST_LOOK),
        }
    }

    /// Returns how long to wait until `auth` is refreshed.
    fn time_to_refresh(&mut self, auth: &CodexAuth) -> Duration {
        let state = &self.state;
        state.learn_time();
        let timing = state.timing(auth);
        let Some((token, due_in)) = auth.access_fingerprint().zip(timing.due_in()) else {
            return LONGEST_LOOK;
        };
        let known = self.delay.filter(|delay| delay.token == token);
        let delay = known.unwrap_or_else(|| Delay { token, delay: self.spread(&timing) });
        self.delay = Some(delay);
        let left = due_in + delay.delay;
        if let Some(left) = left.to_std().ok().filter(|left| !left.is_zero()) {
            return left;
        }
        // A refusal holds until another token is stored: until then the guardian does not present
        // this one, and sends no second event.
        if let Knowledge::Refused(_) = state.tokens.about(auth, state.now()) {
            return LONGEST_LOOK;
        }
        pause_left(state, auth).unwrap_or_default()
    }

    /// Returns a random delay: at most a tenth of the window, and at most half of the time by which
    /// the window begins before that of the Codex CLI.
    fn spread(&self, timing: &Timing) -> TimeDelta {
        if !timing.is_dated() {
            return TimeDelta::zero();
        }
        let window = timing.window();
        let lead = Some(window - CODEX_WINDOW).filter(|lead| *lead > TimeDelta::zero());
        let longest = lead.map_or(window / 10, |lead| (window / 10).min(lead / 2));
        let longest = longest.to_std().unwrap_or_default();
        TimeDelta::from_std(self.state.environment.jitter(longest)).unwrap_or_default()
    }
}
