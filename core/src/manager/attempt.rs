//! One holder's turn with the refresh lock: look at the store, redeem what it holds, save.

use std::sync::Arc;
use std::time::Duration;

use super::decision::GiveUpReason;
use super::demand::{Demand, Outcome, Purpose};
use super::events::Event;
use super::exchange::Exchange;
use super::save::{Reply, SaveOutcome};
use super::shared::Shared;
use super::store_watch::StoreWatch;
use crate::error::{Error, Result, transient};
use crate::ledger::{Knowledge, Ledger};
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::RefreshLock;
use crate::token_endpoint::RefusalReason;

/// Redemptions of different tokens in one turn: the first, and one for each time that the store
/// turned out to have changed.
const MOST_ROUNDS: usize = 3;

/// The room that a save needs beyond the record that it replaces.
const GROWTH: usize = 4096;

/// A turn with the lock.
pub(super) struct Attempt<'a> {
    pub(super) shared: &'a Arc<Shared>,
    demand: &'a Demand,
    pub(super) lock: Box<dyn RefreshLock>,
    /// When the turn ends.
    end: Duration,
}

/// What a look at the store says.
enum Look {
    Answered(Outcome),
    /// This login's refresh token is to be redeemed.
    Redeem(CodexAuth),
}

/// What one redemption led to.
enum Round {
    Done(Outcome),
    /// The store or the snapshot has changed and is to be looked at again.
    Again,
    /// New tokens are in use, for this redeemed one, that could not be saved yet.
    Unsaved(Fingerprint),
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        demand: &'a Demand,
        lock: Box<dyn RefreshLock>,
    ) -> Self {
        let elapsed = shared.environment.clock.elapsed();
        let end = elapsed.saturating_add(shared.options.refresh_deadline);
        Self { shared, demand, lock, end }
    }

    /// Redeems what the store holds until there is an answer, and gives the lock back, unless a
    /// pair that could not be saved keeps it.
    pub(super) async fn run(self) -> Result<Outcome> {
        let mut rounds = 0;
        loop {
            let auth = match self.look().await? {
                Look::Answered(outcome) => return Ok(outcome),
                Look::Redeem(auth) => auth,
            };
            let known = self.shared.about(&auth, &self.lock.ledger());
            match known {
                Knowledge::Refused(reason) => return Err(reason.into_error()),
                Knowledge::RestUntil { until, .. } => {
                    let rest = self.affordable_rest(until)?;
                    StoreWatch::new(self.shared).changes_within(rest, self.shared).await;
                    continue;
                }
                Knowledge::InDoubt if self.is_ahead_of_time(&auth) => {
                    return Err(self.not_ahead_of_time(&auth));
                }
                Knowledge::Spent { .. } | Knowledge::InDoubt | Knowledge::Nothing => {}
            }
            if rounds == MOST_ROUNDS || self.left() < self.enough() {
                return Err(transient("the store changes faster than it can be read; try again"));
            }
            rounds += 1;
            match self.round(&auth, known).await? {
                Round::Done(outcome) => return Ok(outcome),
                Round::Again => {}
                Round::Unsaved(redeemed) => {
                    self.shared.keep_unsaved(self.lock, redeemed).await;
                    let view = self.shared.follow_store().await?;
                    let outcome = self.shared.judge(self.demand, &view);
                    return Ok(outcome.unwrap_or_else(|| view.auth.ok_or(GiveUpReason::LoggedOut)));
                }
            }
        }
    }

    /// How much of the turn is left.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_sub(self.shared.environment.clock.elapsed())
    }

    /// The time without which no request is started: one that is cut short could lose what it was
    /// granted.
    pub(super) fn enough(&self) -> Duration {
        let options = &self.shared.options;
        options.request_timeout.min(options.refresh_deadline / 4)
    }

    /// Notes something in memory and for the lock's next holders.
    pub(super) fn note(&self, change: impl Fn(&mut Ledger)) {
        self.shared.note(&*self.lock, change);
    }

    /// Whether there is an answer without redeeming; puts a spent token's successor back first.
    async fn look(&self) -> Result<Look> {
        let view = self.shared.follow_store().await?;
        self.shared.repair(&view).await?;
        if let Some(outcome) = self.shared.judge(self.demand, &view) {
            return Ok(Look::Answered(outcome));
        }
        Ok(match view.auth {
            Some(auth) => Look::Redeem(auth),
            None => Look::Answered(Err(GiveUpReason::LoggedOut)),
        })
    }

    async fn round(&self, auth: &CodexAuth, known: Knowledge) -> Result<Round> {
        let Some(tokens) = auth.managed_tokens() else { return Ok(Round::Again) };
        if let Knowledge::Spent { .. } = known {
            // Some servers end the login of a program that presents such a token.
            return self.refuse(auth, RefusalReason::Reused).await;
        }
        let is_young = self.is_rejected_young(auth);
        if is_young && !self.may_rotate_young() {
            return Ok(Round::Done(Err(GiveUpReason::FreshTokenRejected)));
        }
        // While there is room: on a full disk nobody could be told what was spent.
        self.note(|_| {});
        let size = auth.record().to_json_pretty().expose().len() + GROWTH;
        let _ready = self.shared.storage.ready(size).await?;
        let was_in_doubt = known == Knowledge::InDoubt;
        match self.exchange(auth, &tokens.refresh_token, was_in_doubt).await? {
            Exchange::Granted(grant) => {
                self.shared.counters.redemptions.count();
                match Reply::merge(auth, grant, self.shared.environment.clock.now()) {
                    Some(reply) => Ok(self.save(reply, is_young).await),
                    None => self.refuse(auth, RefusalReason::OtherAccount).await,
                }
            }
            Exchange::NoAnswer(error) => Err(error),
            Exchange::Superseded => Ok(Round::Again),
            Exchange::Refused(reason) => self.refuse(auth, reason).await,
        }
    }

    /// Believes that the refresh token of `auth` is of no use, unless the store holds another one.
    async fn refuse(&self, auth: &CodexAuth, reason: RefusalReason) -> Result<Round> {
        if self.has_winner(auth, reason).await? {
            return Ok(Round::Again);
        }
        if let Some(tokens) = auth.managed_tokens() {
            self.believe(&tokens.refresh_token, reason);
        }
        match reason {
            RefusalReason::OtherAccount => Ok(Round::Done(Err(GiveUpReason::IdentityMismatch))),
            _ => Err(reason.into_error()),
        }
    }

    /// Saves what was granted.
    async fn save(&self, reply: Reply, is_young: bool) -> Round {
        let now = self.shared.environment.clock.now();
        self.shared.memory.keep_pair(reply.redeemed, reply.granted, &reply.record);
        self.shared.note_for_others(&*self.lock, |ledger| {
            ledger.rotate(reply.redeemed, reply.granted);
            if is_young {
                ledger.take_young_rotation(now);
            }
        });
        let seen = self.shared.current.seen();
        match self.shared.commit_pair(&reply.record).await {
            Ok(SaveOutcome::Saved(record)) => {
                self.shared.memory.mark_saved();
                self.note(|ledger| ledger.settle(reply.redeemed));
                let auth = self.shared.publish(&seen, &record);
                self.shared.announce(Event::Refreshed);
                auth.map_or(Round::Again, |auth| Round::Done(Ok(auth)))
            }
            Ok(SaveOutcome::Superseded) => {
                self.shared.memory.mark_saved();
                self.note(|ledger| ledger.settle(reply.redeemed));
                Round::Again
            }
            Err(error) => {
                tracing::error!(%error, "refreshed tokens could not be saved; they stay in memory");
                self.shared.publish(&seen, &reply.record);
                self.shared.announce(Event::Refreshed);
                self.shared.announce(Event::SaveFailed(error));
                Round::Unsaved(reply.redeemed)
            }
        }
    }

    /// Whether nothing is lost yet by leaving the login of `auth` as it is.
    fn is_ahead_of_time(&self, auth: &CodexAuth) -> bool {
        let is_rejected = |token| self.shared.memory.is_rejected(token);
        self.demand.purpose == Purpose::Proactive
            && !auth.is_expired(self.shared.environment.clock.now())
            && !auth.access_fingerprint().is_some_and(is_rejected)
    }

    /// A server may end the login, and with it a good access token, of a program that presents a
    /// spent refresh token.
    fn not_ahead_of_time(&self, auth: &CodexAuth) -> Error {
        let now = self.shared.environment.clock.now();
        let left = auth.expires_at().and_then(|end| (end - now).to_std().ok());
        let error = transient(
            "an earlier request with the refresh token was never answered; it is presented again \
             once the access token is of no use any more",
        );
        left.map_or(error.clone(), |left| error.with_retry_after(left))
    }

    /// Whether the stored access token was rejected although it is too new to have expired.
    fn is_rejected_young(&self, auth: &CodexAuth) -> bool {
        let token = auth.access_fingerprint();
        let is_rejected = self.demand.purpose == Purpose::Rejected
            && (token == self.demand.auth.access_fingerprint()
                || token.is_some_and(|token| self.shared.memory.is_rejected(token)));
        is_rejected && auth.is_young(self.shared.environment.clock.now())
    }

    fn may_rotate_young(&self) -> bool {
        self.lock.ledger().may_rotate_young(self.shared.environment.clock.now())
    }
}
