//! The guardian: the rule of [`fresh_auth`](crate::AuthManager::fresh_auth), kept without a caller.

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

/// The wall clock is looked at this often: a machine that slept has lost more of a token's life
/// than its timers know.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// The Codex CLI refreshes so long before a token expires.
const CODEX_WINDOW: TimeDelta = TimeDelta::minutes(5);

/// Keeps a login fresh while it is there; see [`AuthManager::keep_fresh`].
///
/// It holds the manager. In a forked child nothing runs: the child asks for its own.
///
/// [`AuthManager::keep_fresh`]: crate::AuthManager::keep_fresh
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct KeepFresh(Background);

impl KeepFresh {
    /// Keeps the snapshot in `state` fresh from now on.
    pub(crate) fn start(state: Arc<State>, refresh: Arc<Refresh>) -> Self {
        let environment = state.environment.clone();
        let mut guardian = Guardian { state, refresh, delay: None };
        Self(Background::start(&environment, |signal| async move { guardian.guard(&signal).await }))
    }

    /// Ends it, as dropping it does. A refresh in flight goes on.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// How much later than it is due one token is refreshed, so that many guardians do not march in
/// step.
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

    /// Follows the store, and refreshes what it holds if the time has come; when to look again.
    async fn look_after(&mut self) -> Duration {
        let view = match self.state.follow_store().await {
            Ok(view) => view,
            Err(error) => {
                tracing::debug!(%error, "the store cannot be read for now");
                return usual_pause(&self.state);
            }
        };
        let may_refresh = self.state.options.may_refresh();
        let Some(auth) = view.auth.as_ref().filter(|_| may_refresh) else {
            return LONGEST_LOOK;
        };
        if view.is_spent {
            drop(self.refresh.start_repair(auth));
        }
        let pause = self.time_to_refresh(auth);
        if !pause.is_zero() {
            return pause;
        }
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Proactive };
        match self.refresh.wait_for(demand).await {
            Ok(Ok(_)) => Duration::ZERO,
            // What has failed knows best when to try again, if it came that far.
            _ => pause_left(&self.state, auth).unwrap_or(LONGEST_LOOK),
        }
    }

    /// How long it is until `auth` is to be refreshed.
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
        // A refusal stands until there is another token: nothing is asked, and nothing told again.
        if let Knowledge::Refused(_) = state.tokens.about(auth, state.now()) {
            return LONGEST_LOOK;
        }
        pause_left(state, auth).unwrap_or_default()
    }

    /// A random part of the window's first tenth, but no more than half of what it is ahead of the
    /// Codex CLI's.
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
