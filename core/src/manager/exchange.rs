//! Asking the token endpoint, and believing its refusals last of all.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::attempt::Attempt;
use super::spans::{self, traced};
use super::store_watch::StoreWatch;
use crate::error::{Error, Result, transient};
use crate::ledger::{LONGEST_REST, Ledger, SHARED_REFUSAL};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::token_endpoint::{Grant, NoAnswer, Redemption, RefusalReason};

/// Requests for one token, as long as none of them spent it.
const MOST_UNSPENT: u32 = 3;

/// Requests whose fate is unknown: the second shows whether the first spent the token.
const MOST_DOUBTS: u32 = 2;

/// The first pause between requests is a random part of this, the next of twice as much.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How long nobody asks again after no clear answer, where the server does not say: from a fifth
/// of this to all of it.
const USUAL_REST: Duration = Duration::from_secs(5);

/// An unclassified 401 may be the server's trouble rather than the token's.
const UNAUTHORIZED_LIFE: TimeDelta = TimeDelta::minutes(5);

/// What the requests for one token came to.
pub(super) enum Exchange {
    Granted(Grant),
    Refused(RefusalReason),
    NoAnswer(Error),
    /// The store holds another token by now.
    Superseded,
}

/// Requests for one token so far.
#[derive(Default)]
struct Tally {
    unspent: u32,
    doubts: u32,
    /// Whether one of an earlier attempt was never answered.
    was_in_doubt: bool,
}

impl Tally {
    fn may_ask_again(&self) -> bool {
        self.unspent < MOST_UNSPENT && self.doubts < MOST_DOUBTS
    }

    fn is_in_doubt(&self) -> bool {
        self.was_in_doubt || self.doubts > 0
    }

    /// Why the token is refused: what may mean that it was redeemed has a likely cause.
    fn explain(&self, reason: RefusalReason) -> RefusalReason {
        if self.is_in_doubt() && reason.may_have_a_winner() {
            RefusalReason::OutcomeUnknown
        } else {
            reason
        }
    }

    fn longest_pause(&self) -> Duration {
        FIRST_PAUSE * 2_u32.pow((self.unspent + self.doubts).saturating_sub(1))
    }
}

impl Attempt<'_> {
    /// Presents `token` of `auth` until there is an answer: again after a request that did not spend
    /// it, and once more after one that may have; but never one that the store has no more.
    /// `was_in_doubt` says that an earlier request was never answered.
    pub(super) async fn exchange(
        &self,
        auth: &CodexAuth,
        token: &Secret,
        was_in_doubt: bool,
    ) -> Result<Exchange> {
        let mut tally = Tally { was_in_doubt, ..Tally::default() };
        loop {
            self.lock.check()?;
            // A program that takes no lock may have redeemed it or signed in meanwhile: a commit
            // lock was waited for, there was a pause, or this program was stopped.
            if self.has_changed(auth).await? {
                return Ok(Exchange::Superseded);
            }
            if !self.is_time_after(Duration::ZERO) {
                return Err(transient(
                    "there is no time left to ask the token endpoint; try again",
                ));
            }
            let answer = match self.present(token).await {
                Redemption::Granted(grant) => return Ok(Exchange::Granted(grant)),
                Redemption::Refused(reason) => {
                    return Ok(Exchange::Refused(tally.explain(reason)));
                }
                Redemption::Declined(answer) => {
                    self.clear_doubt(token, &tally);
                    return Ok(self.put_off(token, answer));
                }
                Redemption::NotSpent(answer) => {
                    tally.unspent += 1;
                    self.clear_doubt(token, &tally);
                    answer
                }
                Redemption::InDoubt(answer) => {
                    tally.doubts += 1;
                    answer
                }
            };
            let jitter = || self.shared.environment.jitter(tally.longest_pause());
            let pause = answer.retry_after.unwrap_or_else(jitter);
            if !tally.may_ask_again() || !self.is_time_after(pause) {
                return Ok(self.put_off(token, answer));
            }
            self.shared.environment.clock.sleep(pause).await;
        }
    }

    /// Sends one request with `token`, which is in doubt until there is an answer: whatever ends
    /// this program, the next holder of the lock knows of the request.
    async fn present(&self, token: &Secret) -> Redemption {
        let (fingerprint, now) = (token.fingerprint(), self.shared.environment.clock.now());
        self.note(|ledger| ledger.doubt(fingerprint, now));
        let timeout = self.shared.options.request_timeout.min(self.left());
        traced(spans::redemption(), self.shared.endpoint.redeem(token, timeout)).await
    }

    /// The last request did not spend `token`; an earlier one may have.
    fn clear_doubt(&self, token: &Secret, tally: &Tally) {
        if !tally.is_in_doubt() {
            self.note(|ledger| ledger.clear_doubt(token.fingerprint()));
        }
    }

    /// Whether the store holds another refresh token than that of `auth` by now, or none.
    async fn has_changed(&self, auth: &CodexAuth) -> Result<bool> {
        let found = self.shared.follow_store().await?.auth;
        let token = found.as_ref().and_then(CodexAuth::refresh_fingerprint);
        Ok(token != auth.refresh_fingerprint())
    }

    /// Whether the store holds another refresh token than the refused one by now, or gets one from
    /// a program that redeemed it and is about to save.
    pub(super) async fn has_winner(&self, auth: &CodexAuth, reason: RefusalReason) -> Result<bool> {
        // Also when the turn is over: a program that was stopped hears the refusal late, and so may
        // a winner that slept with it be late to save.
        let options = &self.shared.options;
        let patience = if reason.may_have_a_winner() {
            options.winner_wait.min(options.refresh_deadline)
        } else {
            Duration::ZERO
        };
        let clock = &self.shared.environment.clock;
        let end = clock.elapsed() + patience;
        let mut watch = StoreWatch::new(self.shared);
        let mut is_last = false;
        loop {
            if self.has_changed(auth).await? {
                return Ok(true);
            }
            if is_last {
                return Ok(false);
            }
            // One more read in the end, for a change that the stamp does not show.
            let left = end.saturating_sub(clock.elapsed());
            is_last = !watch.changes_within(left, self.shared).await;
        }
    }

    /// Remembers a refusal, here for good and for the lock's next holders for a while.
    pub(super) fn believe(&self, token: &Secret, reason: RefusalReason) {
        let (token, now) = (token.fingerprint(), self.shared.environment.clock.now());
        tracing::warn!(reason = reason.as_str(), "the refresh token is refused");
        let life = (reason == RefusalReason::Unauthorized).then_some(UNAUTHORIZED_LIFE);
        self.shared.memory.note(|ledger| ledger.refuse(token, reason, now, life));
        let shared = Some(SHARED_REFUSAL);
        let note = |ledger: &mut Ledger| ledger.refuse(token, reason, now, shared);
        self.shared.note_for_others(&*self.lock, note);
    }

    /// Whether a request may be started after `pause`.
    fn is_time_after(&self, pause: Duration) -> bool {
        pause.saturating_add(self.enough()) <= self.left()
    }

    /// How long to wait until the time `until`, before which the token endpoint is not to be asked.
    pub(super) fn affordable_rest(&self, until: DateTime<Utc>) -> Result<Duration> {
        let rest = until - self.shared.environment.clock.now();
        let pause = rest.to_std().unwrap_or(Duration::ZERO);
        if self.is_time_after(pause) { Ok(pause) } else { Err(not_yet(rest)) }
    }

    /// No clear answer: no process asks again for a moment.
    fn put_off(&self, token: &Secret, answer: NoAnswer) -> Exchange {
        let environment = &self.shared.environment;
        let rest = answer
            .retry_after
            .unwrap_or_else(|| USUAL_REST / 5 + environment.jitter(USUAL_REST * 4 / 5));
        let (token, now) = (token.fingerprint(), environment.clock.now());
        let wait = TimeDelta::from_std(rest).unwrap_or(LONGEST_REST).min(LONGEST_REST);
        self.note(|ledger| ledger.rest(token, now, now + wait));
        Exchange::NoAnswer(transient(answer.detail).with_retry_after(rest))
    }
}

/// The token endpoint is not to be asked before `rest` has passed.
pub(super) fn not_yet(rest: TimeDelta) -> Error {
    transient("the token endpoint is not to be asked again yet")
        .with_retry_after(rest.to_std().unwrap_or(Duration::ZERO))
}
