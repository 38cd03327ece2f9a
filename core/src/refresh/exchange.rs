//! Redeems one refresh token at the token endpoint.

use std::time::Duration;

use chrono::TimeDelta;
use tracing::field::Empty;
use tracing::info_span;

use super::decline::decline;
use super::demand::Demand;
use super::refusal::Refusal;
use super::turn::Turn;
use crate::auth_dot_json::TokenData;
use crate::clock::Skew;
use crate::environment::Moment;
use crate::error::{Error, Result, transient};
use crate::ledger::LONGEST_REST;
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::token_endpoint::{Grant, NoAnswer, Redemption, StoredToken, TokenEndpoint, TokenReply};
use crate::trace::{Code, TARGET, traced};

/// The most requests with one token that do not spend it.
const MOST_UNSPENT: u32 = 3;

/// The most requests with one token that are in doubt: the second one shows whether the first has
/// spent the token.
const MOST_DOUBTS: u32 = 2;

/// The first pause between two requests is a random part of this, each next one a random part of
/// twice as much.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How long a token rests after requests without a clear answer if the server does not say: from a
/// fifth of this to all of it.
const USUAL_REST: Duration = Duration::from_secs(5);

/// The result of the requests with one token.
pub(super) enum Answer {
    /// What was granted, and when it was asked for.
    Granted(Grant, Moment),
    Refused(Refusal),
    /// No request got a clear answer, and the token rests.
    PutOff(Error),
    /// The store has what was demanded by now, or another refresh token.
    Superseded,
}

/// A count of the requests with one token.
struct Tally {
    unspent: u32,
    /// Counts a request of an earlier attempt too, if that was never answered.
    doubts: u32,
}

impl Tally {
    fn may_ask_again(&self) -> bool {
        self.unspent < MOST_UNSPENT && self.doubts < MOST_DOUBTS
    }

    fn is_in_doubt(&self) -> bool {
        self.doubts > 0
    }

    fn longest_pause(&self) -> Duration {
        FIRST_PAUSE * 2_u32.pow((self.unspent + self.doubts).saturating_sub(1))
    }
}

/// The requests of one turn with one token.
pub(super) struct Exchange<'a> {
    pub(super) turn: &'a Turn<'a>,
    pub(super) demand: &'a Demand,
    pub(super) endpoint: &'a dyn TokenEndpoint,
    /// The login whose refresh token is redeemed.
    pub(super) auth: &'a CodexAuth,
    pub(super) token: &'a Secret,
}

impl Exchange<'_> {
    /// Presents the token until there is an answer: again after a request that did not spend it,
    /// and once more after a request that may have. It never presents a token that the store does
    /// not hold any more. `was_in_doubt` says that a request of an earlier attempt was never
    /// answered.
    pub(super) async fn run(&self, was_in_doubt: bool) -> Result<Answer> {
        let mut tally = Tally { unspent: 0, doubts: was_in_doubt.into() };
        loop {
            self.turn.lock.check()?;
            // A program without the refresh lock may have redeemed the token or signed in
            // meanwhile: this turn has waited for a commit lock or a pause, or the process was
            // stopped.
            if self.turn.has_changed(self.auth).await? {
                return Ok(Answer::Superseded);
            }
            if !self.turn.is_time_after(Duration::ZERO) {
                let error = transient("there is no time left to ask the token endpoint; try again");
                return Err(error.with_retry_after(USUAL_REST / 5));
            }
            self.note_doubt().await;
            // After the note: a lock that could not take it is not held any more.
            if self.turn.lock.held_for().is_some_and(|lasts| lasts < self.timeout()) {
                self.clear_doubt(&tally).await;
                return Err(transient(
                    "the refresh lock may end before the token endpoint answers; try again",
                ));
            }
            let sent = self.turn.state.environment.moment();
            let reply = self.present(&sent).await;
            let no_answer = match reply.redemption {
                Redemption::Granted(grant) => return Ok(Answer::Granted(grant, sent)),
                Redemption::Refused(reason) => {
                    self.clear_doubt(&tally).await;
                    let (is_in_doubt, answer) = (tally.is_in_doubt(), reply.answer);
                    return Ok(Answer::Refused(Refusal { reason, is_in_doubt, answer }));
                }
                Redemption::Declined(no_answer) => {
                    self.clear_doubt(&tally).await;
                    return Ok(Answer::PutOff(decline(self.turn, self.token, &no_answer).await));
                }
                Redemption::NotSpent(no_answer) => {
                    tally.unspent += 1;
                    self.clear_doubt(&tally).await;
                    no_answer
                }
                Redemption::InDoubt(no_answer) => {
                    tally.doubts += 1;
                    no_answer
                }
            };
            if self.is_needless() {
                self.turn.share_time().await;
                return Ok(Answer::Superseded);
            }
            let environment = &self.turn.state.environment;
            let jitter = || environment.jitter(tally.longest_pause());
            let pause = no_answer.retry_after.unwrap_or_else(jitter);
            if !tally.may_ask_again() || !self.turn.is_time_after(pause) {
                return Ok(self.put_off(&no_answer).await);
            }
            environment.clock.sleep(pause).await;
        }
    }

    /// Notes that a request with the token is about to be sent. The ledger holds this doubt until there
    /// is an answer, so that the next holder of the lock knows of the request even if this process is
    /// killed.
    async fn note_doubt(&self) {
        let (token, now) = (self.token.fingerprint(), self.turn.state.now());
        self.turn.note(|ledger| ledger.doubt(token, now)).await;
    }

    /// Sends one request with the token at the moment `sent`.
    async fn present(&self, sent: &Moment) -> TokenReply {
        let span = info_span!(target: TARGET, "codex_auth.redemption", outcome = Empty);
        let client_id = self.auth.managed_tokens().and_then(TokenData::client_id);
        let token = StoredToken::new(self.token, client_id.as_deref());
        let reply = traced(span, self.endpoint.redeem(token, self.timeout())).await;
        self.measure_skew(&reply, sent);
        reply
    }

    /// Returns whether the stored access token meets the demand: a reply without tokens may have
    /// shown that the clock is wrong, and the token good.
    fn is_needless(&self) -> bool {
        self.demand.is_met_by(self.auth, self.turn.state)
    }

    /// Measures the skew by `reply`, which tells the server's time whatever else it says. The next
    /// note tells other processes of it.
    fn measure_skew(&self, reply: &TokenReply, sent: &Moment) {
        let Some(date) = reply.date else { return };
        let state = self.turn.state;
        let skew = Skew::measured(date, sent, &state.environment.moment());
        state.measure(skew);
    }

    /// Returns how long a request that is sent now may take.
    fn timeout(&self) -> Duration {
        self.turn.state.options.request_timeout.min(self.turn.left())
    }

    /// Removes the doubt of a request that did not spend the token, unless an earlier request is in
    /// doubt too.
    async fn clear_doubt(&self, tally: &Tally) {
        if !tally.is_in_doubt() {
            self.turn.note(|ledger| ledger.clear_doubt(self.token.fingerprint())).await;
        }
    }

    /// Lets the token rest after a request without a clear answer: no process presents it for that
    /// time.
    async fn put_off(&self, no_answer: &NoAnswer) -> Answer {
        let state = self.turn.state;
        let rest = no_answer
            .retry_after
            .unwrap_or_else(|| USUAL_REST / 5 + state.environment.jitter(USUAL_REST * 4 / 5));
        let (token, now) = (self.token.fingerprint(), state.now());
        let wait = TimeDelta::from_std(rest).unwrap_or(LONGEST_REST).min(LONGEST_REST);
        self.turn.note(|ledger| ledger.rest(token, now, now + wait)).await;
        let rest = wait.to_std().unwrap_or_default();
        Answer::PutOff(transient(no_answer.text()).with_retry_after(rest))
    }
}

impl Code for TokenReply {
    fn code(&self) -> &'static str {
        self.redemption.code()
    }
}

impl Code for Redemption {
    fn code(&self) -> &'static str {
        match self {
            Self::Granted(_) => "granted",
            Self::Refused(reason) => reason.as_str(),
            Self::Declined(_) => "declined",
            Self::NotSpent(_) => "not_spent",
            Self::InDoubt(_) => "in_doubt",
        }
    }
}
