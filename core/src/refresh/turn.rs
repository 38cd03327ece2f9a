//! A turn with the refresh lock: how long it lasts, and what is noted in it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Error, Result, transient};
use crate::ledger::{Knowledge, Ledger};
use crate::snapshot::CodexAuth;
use crate::state::State;
use crate::storage::RefreshLock;

/// The time of one holder of the lock.
pub(super) struct Turn<'a> {
    pub(super) state: &'a State,
    pub(super) lock: Box<dyn RefreshLock>,
    /// When it ends.
    end: Duration,
}

impl<'a> Turn<'a> {
    pub(super) fn new(state: &'a State, lock: Box<dyn RefreshLock>) -> Self {
        let elapsed = state.environment.clock.elapsed();
        Self { state, lock, end: elapsed.saturating_add(state.options.refresh_deadline) }
    }

    /// How much of the turn is left.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_sub(self.state.environment.clock.elapsed())
    }

    /// Whether a request may be started after `pause`: one that is cut short could lose what it was
    /// granted.
    pub(super) fn is_time_after(&self, pause: Duration) -> bool {
        let options = &self.state.options;
        let enough = options.request_timeout.min(options.refresh_deadline / 4);
        pause.saturating_add(enough) <= self.left()
    }

    /// How long to wait until the time `until`, before which the token endpoint is not to be asked.
    pub(super) fn affordable_rest(&self, until: DateTime<Utc>) -> Result<Duration> {
        let rest = until - self.state.now();
        let pause = rest.to_std().unwrap_or(Duration::ZERO);
        if self.is_time_after(pause) { Ok(pause) } else { Err(not_yet(rest)) }
    }

    /// What is known of the refresh token of `auth`.
    pub(super) fn about(&self, auth: &CodexAuth) -> Knowledge {
        self.state.tokens.about_under(&*self.lock, auth, self.state.now())
    }

    /// Notes something in memory and for the lock's next holders.
    pub(super) fn note(&self, change: impl Fn(&mut Ledger)) {
        self.state.tokens.note(&*self.lock, change);
    }

    /// Whether the store holds another refresh token than that of `auth` by now, or none.
    pub(super) async fn has_changed(&self, auth: &CodexAuth) -> Result<bool> {
        let found = self.state.follow_store().await?.auth;
        let token = found.as_ref().and_then(CodexAuth::refresh_fingerprint);
        Ok(token != auth.refresh_fingerprint())
    }
}

/// The token endpoint is not to be asked before `rest` has passed.
pub(super) fn not_yet(rest: TimeDelta) -> Error {
    transient("the token endpoint is not to be asked again yet")
        .with_retry_after(rest.to_std().unwrap_or(Duration::ZERO))
}
