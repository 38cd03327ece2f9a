//! The guardian: [`fresh_auth`](super::AuthManager::fresh_auth)'s rule, kept without anybody asking.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::background::{Background, Signal};
use super::demand::{Demand, Purpose};
use super::fresh::TOO_NEW;
use super::shared::Shared;
use crate::ledger::Knowledge;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;

/// The wall clock is looked at this often: a machine that slept has lost more of a token's life
/// than its timers know.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// The Codex CLI refreshes so long before a token expires.
const CODEX_WINDOW: TimeDelta = TimeDelta::minutes(5);

/// Keeps a login fresh while it is there; see [`AuthManager::keep_fresh`].
///
/// It holds the manager. In a forked child nothing runs: the child asks for its own.
///
/// [`AuthManager::keep_fresh`]: super::AuthManager::keep_fresh
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct KeepFresh(Background);

impl KeepFresh {
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

impl Shared {
    pub(super) fn keep_fresh(self: &Arc<Self>) -> KeepFresh {
        let shared = Arc::clone(self);
        KeepFresh(Background::start(self, |signal| async move { shared.guard(&signal).await }))
    }

    async fn guard(self: &Arc<Self>, signal: &Signal) {
        let mut delay = None;
        while !signal.is_stopped() {
            let pause = self.look_after(&mut delay).await;
            signal.pause(pause.min(LONGEST_LOOK), &self.environment).await;
        }
    }

    /// Follows the store, and refreshes what it holds if the time has come; when to look again.
    async fn look_after(self: &Arc<Self>, delay: &mut Option<Delay>) -> Duration {
        let view = match self.follow_store().await {
            Ok(view) => view,
            Err(error) => {
                tracing::debug!(%error, "the store cannot be read for now");
                return self.background_pause();
            }
        };
        let Some(auth) = view.auth.as_ref().filter(|_| self.options.may_refresh()) else {
            return LONGEST_LOOK;
        };
        if view.is_spent {
            drop(self.start_repair(auth));
        }
        let pause = self.time_to_refresh(auth, delay);
        if !pause.is_zero() {
            return pause;
        }
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Proactive };
        match self.fly(demand).await {
            Ok(Ok(_)) => Duration::ZERO,
            // What has failed knows best when to try again, if it came that far.
            _ => self.pause_left(auth).unwrap_or(LONGEST_LOOK),
        }
    }

    /// How long it is until `auth` is to be refreshed.
    fn time_to_refresh(&self, auth: &CodexAuth, delay: &mut Option<Delay>) -> Duration {
        let due_at = auth.due_at(self.options.window());
        let Some((token, due_at)) = auth.access_fingerprint().zip(due_at) else {
            return LONGEST_LOOK;
        };
        let known = delay.filter(|delay| delay.token == token);
        let delay = *delay
            .insert(known.unwrap_or_else(|| Delay { token, delay: self.spread(auth, due_at) }));
        let left = due_at + delay.delay - self.environment.clock.now();
        if let Some(left) = left.to_std().ok().filter(|left| !left.is_zero()) {
            return left;
        }
        if self.is_too_new(auth) {
            return TOO_NEW.to_std().unwrap_or(LONGEST_LOOK);
        }
        // A refusal stands until there is another token: nothing is asked, and nobody told again.
        if let Knowledge::Refused(_) = self.about(auth, &self.storage.ledger()) {
            return LONGEST_LOOK;
        }
        self.pause_left(auth).unwrap_or_default()
    }

    /// A random part of the window's first tenth, but no more than half of what it is ahead of the
    /// Codex CLI's.
    fn spread(&self, auth: &CodexAuth, due_at: DateTime<Utc>) -> TimeDelta {
        let Some(expires_at) = auth.expires_at() else { return TimeDelta::zero() };
        let window = expires_at - due_at;
        let lead = Some(window - CODEX_WINDOW).filter(|lead| *lead > TimeDelta::zero());
        let longest = lead.map_or(window / 10, |lead| (window / 10).min(lead / 2));
        let longest = longest.to_std().unwrap_or_default();
        TimeDelta::from_std(self.environment.jitter(longest)).unwrap_or_default()
    }
}
