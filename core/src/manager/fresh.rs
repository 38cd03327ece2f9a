//! Refreshing ahead of time, so that a 401 is the exception.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::decision::GiveUpReason;
use super::demand::{Demand, Purpose};
use super::shared::Shared;
use crate::error::Result;
use crate::snapshot::CodexAuth;

/// A record this new is not refreshed ahead of time.
pub(super) const TOO_NEW: TimeDelta = TimeDelta::seconds(5);

/// How long a failed background refresh is not repeated, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Shared {
    /// The snapshot if nobody has to wait for a better one; a due refresh starts in the
    /// background.
    pub(super) fn fresh_if_ready(self: &Arc<Self>) -> Option<CodexAuth> {
        let current = self.current.peek();
        let auth = current.auth.as_ref()?;
        let now = self.environment.clock.now();
        let is_due = current.due_at.is_some_and(|due| due <= now);
        if !is_due || self.is_too_new(auth) {
            return Some(auth.clone());
        }
        if auth.is_expired(now) {
            return None;
        }
        self.refresh_in_background(auth);
        Some(auth.clone())
    }

    /// Waits for a token that is not expired. What happens to the login meanwhile is followed.
    pub(super) async fn wait_for_fresh(self: &Arc<Self>) -> Result<Option<CodexAuth>> {
        if self.current.auth().is_none() {
            self.follow_store().await?;
        }
        // Once for the login that is there, and once for each that takes its place meanwhile.
        for _ in 0..3 {
            let (None, Some(auth)) = (self.fresh_if_ready(), self.current.auth()) else { break };
            let demand = Demand { auth, purpose: Purpose::Proactive };
            match self.fly(demand).await? {
                Ok(auth) => return Ok(Some(auth)),
                Err(GiveUpReason::RefreshDisabled) => break,
                Err(_) => {}
            }
        }
        Ok(self.current.auth())
    }

    /// Whether the writer of the record has just seen to it.
    pub(super) fn is_too_new(&self, auth: &CodexAuth) -> bool {
        let now = self.environment.clock.now();
        auth.last_refresh().is_some_and(|at| (now - at).abs() < TOO_NEW)
    }

    /// After a failure nobody tries again in the background for a while.
    pub(super) fn pause_background(&self, demand: &Demand, retry_after: Option<Duration>) {
        let Some(token) = demand.auth.access_fingerprint() else { return };
        let pause = retry_after.unwrap_or_default().max(self.background_pause());
        self.memory.pause_background(token, self.environment.clock.elapsed().saturating_add(pause));
    }

    /// How long after a failure the background tries again.
    pub(super) fn background_pause(&self) -> Duration {
        LONGEST_PAUSE / 6 + self.environment.jitter(LONGEST_PAUSE * 5 / 6)
    }

    /// How long `auth` is not to be refreshed in the background yet, after a failure.
    pub(super) fn pause_left(&self, auth: &CodexAuth) -> Option<Duration> {
        let elapsed = self.environment.clock.elapsed();
        auth.access_fingerprint().and_then(|token| self.memory.pause_left(token, elapsed))
    }

    fn refresh_in_background(self: &Arc<Self>, auth: &CodexAuth) {
        if self.pause_left(auth).is_some() {
            return;
        }
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Proactive };
        if let Err(error) = self.join(demand) {
            tracing::debug!(%error, "no background refresh");
        }
    }
}
