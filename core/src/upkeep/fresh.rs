//! Refreshing ahead of time, so that a 401 is the exception.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Freshness;
use crate::error::Result;
use crate::refresh::{Demand, GiveUpReason, Purpose, Refresh, pause_left};
use crate::snapshot::CodexAuth;
use crate::state::{Current, LONGEST_SPAN, State};

/// Hands out snapshots that are fresh.
#[derive(Debug)]
pub(crate) struct Fresh {
    state: Arc<State>,
    refresh: Arc<Refresh>,
}

impl Fresh {
    pub(crate) fn new(state: Arc<State>, refresh: Arc<Refresh>) -> Self {
        Self { state, refresh }
    }

    /// The snapshot if the caller need not wait for a better one; a due refresh starts in the
    /// background.
    pub(crate) fn auth_if_ready(&self) -> Option<CodexAuth> {
        let current = self.state.current.peek();
        let auth = current.auth.as_ref()?;
        if !current.is_fresh(self.state.now()) {
            match self.judge(&current, auth) {
                Freshness::Fresh => {}
                Freshness::Due => self.refresh_in_background(auth),
                Freshness::Expired => return None,
            }
        }
        Some(auth.clone())
    }

    /// The span by the wall clock in which the snapshot in memory need not be judged again; none
    /// where that is always so.
    pub(crate) fn span(&self) -> Option<Range<DateTime<Utc>>> {
        let current = self.state.current.peek();
        let auth = current.auth.as_ref().filter(|auth| auth.managed_tokens().is_some())?;
        self.judge(&current, auth);
        Some(current.span())
    }

    /// Judges the token of `auth`, and notes for how long that holds.
    fn judge(&self, current: &Current, auth: &CodexAuth) -> Freshness {
        if auth.managed_tokens().is_none() {
            return Freshness::Fresh;
        }
        let timing = self.state.timing(auth);
        let wait = timing.due_in().unwrap_or(LONGEST_SPAN).clamp(TimeDelta::zero(), LONGEST_SPAN);
        current.keep_until(self.state.now() + wait);
        timing.freshness()
    }

    /// Waits for a token that is not expired. What happens to the login meanwhile is followed.
    pub(crate) async fn auth(&self) -> Result<Option<CodexAuth>> {
        let current = &self.state.current;
        if current.auth().is_none() {
            self.state.follow_store().await?;
        }
        // Once for the login that is there, and once for each that takes its place meanwhile.
        for _ in 0..3 {
            let (None, Some(auth)) = (self.auth_if_ready(), current.auth()) else { break };
            let demand = Demand { auth, purpose: Purpose::Proactive };
            match self.refresh.wait_for(demand).await {
                Ok(Ok(auth)) => return Ok(Some(auth)),
                Ok(Err(GiveUpReason::RefreshDisabled)) => break,
                Ok(Err(_)) => {}
                // A reply says what time it is, also where it is an error: the token may be good.
                Err(error) => return self.auth_if_ready().map(Some).ok_or(error),
            }
        }
        Ok(current.auth())
    }

    fn refresh_in_background(&self, auth: &CodexAuth) {
        if pause_left(&self.state, auth).is_some() {
            return;
        }
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Proactive };
        if let Err(error) = self.refresh.start(demand) {
            tracing::debug!(%error, "no background refresh");
        }
    }
}
