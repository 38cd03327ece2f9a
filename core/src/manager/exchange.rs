//! Asking the token endpoint, and believing its refusals last of all.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::attempt::Attempt;
use super::shared::Shared;
use super::spans::{self, traced};
use super::store_watch::StoreWatch;
use crate::error::{Error, Result, transient};
use crate::secret::Secret;
use crate::sidecar::{Answer, LONGEST_WAIT, Sidecar, Verdict};
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
const LONGEST_REST: Duration = Duration::from_secs(5);

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

    fn longest_pause(&self) -> Duration {
        FIRST_PAUSE * 2_u32.pow((self.unspent + self.doubts).saturating_sub(1))
    }
}

impl Shared {
    /// Fails where the login's refresh token is known to be refused: by an answer that this manager
    /// had, or by the verdict of another one in `sidecar`.
    pub(super) fn refuse_known(&self, auth: &CodexAuth, sidecar: &Sidecar) -> Result<()> {
        let Some(tokens) = auth.managed_tokens() else { return Ok(()) };
        let token = tokens.refresh_token.fingerprint();
        let clock = &self.environment.clock;
        let verdict = || match sidecar.verdict(token, clock.now()) {
            Some(Answer::Refused(reason)) => Some(reason),
            _ => None,
        };
        let empty = tokens.refresh_token.is_empty().then_some(RefusalReason::EmptyRefreshToken);
        let known = empty.or_else(|| self.memory.refusal(token, clock.elapsed())).or_else(verdict);
        known.map_or(Ok(()), |reason| Err(reason.into_error()))
    }

    /// Fails where somebody else presented the login's refresh token `since` then, and there is a
    /// rest for want of an answer.
    pub(super) fn share_rest(
        &self,
        auth: &CodexAuth,
        sidecar: &Sidecar,
        since: DateTime<Utc>,
    ) -> Result<()> {
        let now = self.environment.clock.now();
        let token = auth.refresh_fingerprint().filter(|token| sidecar.is_newer(*token, since));
        let answer = token.and_then(|token| sidecar.verdict(token, now));
        match answer {
            Some(Answer::NotBefore(time)) if time > now => Err(not_yet(time - now)),
            _ => Ok(()),
        }
    }
}

impl Attempt<'_> {
    /// What was said of the stored refresh token before: an error, or how long to rest before
    /// asking again.
    pub(super) fn known_answer(&self, auth: &CodexAuth) -> Result<Option<Duration>> {
        let sidecar = self.lock.sidecar();
        self.shared.refuse_known(auth, &sidecar)?;
        let now = self.shared.environment.clock.now();
        match auth.refresh_fingerprint().and_then(|token| sidecar.verdict(token, now)) {
            Some(Answer::NotBefore(time)) => self.rest(time - now),
            _ => Ok(None),
        }
    }

    /// Presents `token` of `auth` until there is an answer: again after a request that did not spend
    /// it, and once more after one that may have; but never one that the store has no more. A token
    /// that a holder of the lock has redeemed, and an old writer put back, is refused without
    /// asking: some servers end the login of who presents one.
    pub(super) async fn exchange(&self, auth: &CodexAuth, token: &Secret) -> Result<Exchange> {
        let sidecar = self.lock.sidecar();
        if sidecar.is_spent(token.fingerprint()) {
            return Ok(Exchange::Refused(RefusalReason::Reused));
        }
        let was_in_doubt = sidecar.is_in_doubt(token.fingerprint());
        let mut tally = Tally { was_in_doubt, ..Tally::default() };
        loop {
            self.lock.check()?;
            // Somebody who takes no lock may have redeemed it or signed in meanwhile: a commit lock
            // was waited for, there was a pause, or this program was stopped.
            if self.has_changed(auth).await? {
                return Ok(Exchange::Superseded);
            }
            if !self.is_time_after(Duration::ZERO) {
                return Err(transient(
                    "there is no time left to ask the token endpoint; try again",
                ));
            }
            let timeout = self.shared.options.request_timeout.min(self.left());
            let redemption = self.shared.endpoint.redeem(token, timeout);
            let answer = match traced(spans::redemption(), redemption).await {
                Redemption::Granted(grant) => return Ok(Exchange::Granted(grant)),
                Redemption::Refused(_) if tally.is_in_doubt() => {
                    return Ok(Exchange::Refused(RefusalReason::OutcomeUnknown));
                }
                Redemption::Refused(reason) => return Ok(Exchange::Refused(reason)),
                Redemption::Declined(answer) => return Ok(self.put_off(token, &tally, answer)),
                Redemption::NotSpent(answer) => {
                    tally.unspent += 1;
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
                return Ok(self.put_off(token, &tally, answer));
            }
            self.shared.environment.clock.sleep(pause).await;
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

    /// Remembers a refusal, here and for the lock's next holders.
    pub(super) fn believe(&self, token: &Secret, reason: RefusalReason) {
        let token = token.fingerprint();
        let clock = &self.shared.environment.clock;
        tracing::warn!(reason = reason.as_str(), "the refresh token is refused");
        self.shared.memory.refuse(token, reason, clock.elapsed());
        let answer = Answer::Refused(reason);
        let verdict = Verdict { token, at: clock.now(), answer, in_doubt: false };
        self.note(|sidecar| sidecar.set_verdict(verdict));
    }

    /// Whether a request may be started after `pause`.
    fn is_time_after(&self, pause: Duration) -> bool {
        pause.saturating_add(self.enough()) <= self.left()
    }

    fn rest(&self, rest: TimeDelta) -> Result<Option<Duration>> {
        let pause = rest.to_std().unwrap_or(Duration::ZERO);
        if self.is_time_after(pause) {
            return Ok((!pause.is_zero()).then_some(pause));
        }
        Err(not_yet(rest))
    }

    /// No clear answer: nobody asks again for a moment.
    fn put_off(&self, token: &Secret, tally: &Tally, answer: NoAnswer) -> Exchange {
        let environment = &self.shared.environment;
        let rest = answer
            .retry_after
            .unwrap_or_else(|| LONGEST_REST / 5 + environment.jitter(LONGEST_REST * 4 / 5));
        let now = environment.clock.now();
        let wait = TimeDelta::from_std(rest).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        let verdict = Verdict {
            token: token.fingerprint(),
            at: now,
            answer: Answer::NotBefore(now + wait),
            in_doubt: tally.is_in_doubt(),
        };
        self.note(|sidecar| sidecar.set_verdict(verdict));
        Exchange::NoAnswer(transient(answer.detail).with_retry_after(rest))
    }
}

fn not_yet(rest: TimeDelta) -> Error {
    transient("the token endpoint is not to be asked again yet")
        .with_retry_after(rest.to_std().unwrap_or(Duration::ZERO))
}
