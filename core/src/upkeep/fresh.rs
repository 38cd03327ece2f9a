//! Refreshes tokens before they expire, so that requests seldom fail with 401.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Freshness;
use crate::error::Result;
use crate::refresh::{Demand, GiveUpReason, Purpose, Refresh, pause_left};
use crate::snapshot::CodexAuth;
use crate::state::{Current, LONGEST_SPAN, State};

/// Hands out fresh snapshots.
#[derive(Debug)]
pub(crate) struct Fresh {
    state: Arc<State>,
    refresh: Arc<Refresh>,
}

impl Fresh {
    pub(crate) fn new(state: Arc<State>, refresh: Arc<Refresh>) -> Self {
        Self { state, refresh }
    }

    /// Returns the snapshot if the caller need not wait for a refresh. A refresh that is due starts
    /// in the background, unless the process may end without it.
    pub(crate) fn auth_if_ready(&self) -> Option<CodexAuth> {
        let current = self.state.current.peek();
        let auth = current.auth.as_ref()?;
        if !current.is_fresh(self.state.now()) {
            match self.judge(&current, auth) {
                Freshness::Fresh => {}
                Freshness::Due if self.must_wait(auth) => return None,
                Freshness::Due => self.refresh_in_background(auth),
                Freshness::Expired => return None,
            }
        }
        Some(auth.clone())
    }

    /// Returns the span of the wall clock in which the snapshot in memory need not be judged again;
    /// none if it never needs to.
    pub(crate) fn span(&self) -> Option<Range<DateTime<Utc>>> {
        let current = self.state.current.peek();
        let auth = current.auth.as_ref().filter(|auth| auth.tokens().is_some())?;
        self.judge(&current, auth);
        Some(current.span())
    }

    /// Judges the access token of `auth`, and notes how long that judgement holds.
    fn judge(&self, current: &Current, auth: &CodexAuth) -> Freshness {
        if auth.tokens().is_none() {
            return Freshness::Fresh;
        }
        let timing = self.state.timing(auth);
        current.keep_until(timing.fresh_until(LONGEST_SPAN));
        timing.freshness()
    }

    /// Returns whether a refresh that is due makes its caller wait: where the end of the process
    /// waits for no background task, the new tokens of one could be lost.
    fn must_wait(&self, auth: &CodexAuth) -> bool {
        let state = &self.state;
        let ends_unseen = !state.environment.spawner.waits_at_exit();
        ends_unseen && state.options.may_refresh() && pause_left(state, auth).is_none()
    }

    /// Waits for a snapshot whose access token has not expired. If another program changes the
    /// login meanwhile, this follows it.
    pub(crate) async fn auth(&self) -> Result<Option<CodexAuth>> {
        let current = &self.state.current;
        if current.auth().is_none() {
            self.state.reload().await?;
        }
        // One round for the login in memory, and one for each that replaces it meanwhile.
        for _ in 0..3 {
            let (None, Some(auth)) = (self.auth_if_ready(), current.auth()) else { break };
            let demand = Demand { auth, purpose: Purpose::Proactive };
            match self.refresh.wait_for(demand).await {
                Ok(Ok(auth)) => return Ok(Some(auth)),
                Ok(Err(GiveUpReason::RefreshDisabled)) => break,
                Ok(Err(_)) => {}
                // A reply says what time it is, also where it is an error: the token may be good.
                Err(error) => return self.auth_if_valid().map(Some).ok_or(error),
            }
        }
        Ok(current.auth())
    }

    /// Returns the snapshot unless its access token has expired.
    fn auth_if_valid(&self) -> Option<CodexAuth> {
        let current = self.state.current.peek();
        let auth = current.auth.as_ref()?;
        (self.judge(&current, auth) != Freshness::Expired).then(|| auth.clone())
    }

    fn refresh_in_background(&self, auth: &CodexAuth) {
        if pause_left(&self.state, auth).is_some() {
            return;
        }
        let demand = Demand { auth: auth.clone(), purpose: Purpose::Proactive };
        if let Err(error) = self.refresh.start(demand) {
            tracing::debug!(%error, "cannot start a refresh in the background");
        }
    }
}
