//! One turn with the refresh lock: its deadline, and what it notes in the ledger.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Error, Result, transient};
use crate::ledger::{Declines, Knowledge, Ledger};
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::state::State;
use crate::storage::RefreshLock;

/// The refresh lock, and the time for which one refresh may hold it.
pub(super) struct Turn<'a> {
    pub(super) state: &'a State,
    pub(super) lock: Box<dyn RefreshLock>,
    /// When the turn ends, by [`Clock::elapsed`](crate::environment::Clock::elapsed).
    end: Duration,
}

impl<'a> Turn<'a> {
    pub(super) fn new(state: &'a State, lock: Box<dyn RefreshLock>) -> Self {
        let elapsed = state.environment.clock.elapsed();
        Self { state, lock, end: elapsed.saturating_add(state.options.refresh_deadline) }
    }

    /// Returns how much time of the turn is left.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_sub(self.state.environment.clock.elapsed())
    }

    /// Returns whether there is time for a request after `pause`: a request that is cut short could
    /// lose the tokens of its reply.
    pub(super) fn is_time_after(&self, pause: Duration) -> bool {
        let options = &self.state.options;
        let enough = options.request_timeout.min(options.refresh_deadline / 4);
        pause.saturating_add(enough) <= self.left()
    }

    /// Returns how long to wait until `until`, before which no process may present the token.
    ///
    /// # Errors
    ///
    /// `refresh_transient` if the turn is too short for that.
    pub(super) fn affordable_rest(
        &self,
        until: DateTime<Utc>,
        declines: Option<Declines>,
    ) -> Result<Duration> {
        let rest = until - self.state.now();
        let pause = rest.to_std().unwrap_or(Duration::ZERO);
        if self.is_time_after(pause) { Ok(pause) } else { Err(not_yet(rest, declines)) }
    }

    /// Returns what is known of the refresh token of `auth`.
    pub(super) fn about(&self, auth: &CodexAuth) -> Knowledge {
        self.state.tokens.about_under(&*self.lock, auth, self.state.now())
    }

    /// Returns the requests with `token` that the server has declined in a row.
    pub(super) fn declines(&self, token: Fingerprint) -> Option<Declines> {
        let now = self.state.now();
        let known_here = self.state.tokens.known_here().declines(token, now);
        let known = [known_here, self.lock.ledger().declines(token, now)];
        known.into_iter().flatten().max_by_key(|row| row.times)
    }

    /// Applies `change` to the ledger in memory and to the stored one.
    pub(super) async fn note(&self, change: impl Fn(&mut Ledger)) {
        self.state.tokens.note(&*self.lock, change).await;
    }

    /// Tells other processes what this manager knows of time.
    pub(super) async fn share_time(&self) {
        self.state.tokens.note_for_others(&*self.lock, |_| {}).await;
    }

    /// Reads the store and returns whether it holds another refresh token than that of `auth` by
    /// now, or none.
    pub(super) async fn has_changed(&self, auth: &CodexAuth) -> Result<bool> {
        let found = self.state.reload().await?.auth;
        let token = found.as_ref().and_then(CodexAuth::refresh_fingerprint);
        Ok(token != auth.refresh_fingerprint())
    }
}

/// Returns the error of a caller that may not present the token before `rest` has passed.
pub(super) fn not_yet(rest: TimeDelta, declines: Option<Declines>) -> Error {
    let early = "it is too early for another request to the token endpoint";
    let text = match declines.filter(|row| row.are_many()) {
        Some(Declines { times, .. }) => format!(
            "{early}, which has declined {times} in a row; try again later, or sign in again"
        ),
        None => format!("{early}; try again later"),
    };
    transient(text).with_retry_after(rest.to_std().unwrap_or(Duration::ZERO))
}
