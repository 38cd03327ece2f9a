//! Refreshing ahead of time, so that a 401 is the exception.

use std::sync::Arc;

use crate::error::Result;
use crate::refresh::{Demand, GiveUpReason, Purpose, Refresh, is_too_new, pause_left};
use crate::snapshot::CodexAuth;
use crate::state::State;

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
        let now = self.state.now();
        let is_due = current.due_at.is_some_and(|due| due <= now);
        if !is_due || is_too_new(auth, now) {
            return Some(auth.clone());
        }
        if auth.is_expired(now) {
            return None;
        }
        self.refresh_in_background(auth);
        Some(auth.clone())
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
            match self.refresh.wait_for(demand).await? {
                Ok(auth) => return Ok(Some(auth)),
                Err(GiveUpReason::RefreshDisabled) => break,
                Err(_) => {}
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
