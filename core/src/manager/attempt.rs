//! One holder's turn with the refresh lock: look at the store, redeem what it holds, save.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::Exchange;
use super::flights::{Demand, Outcome, Purpose};
use super::recovery::GiveUpReason;
use super::save::{Reply, SaveOutcome};
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::sidecar::Sidecar;
use crate::snapshot::CodexAuth;
use crate::storage::RefreshLock;
use crate::token_endpoint::Grant;

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

/// What one redemption led to.
enum Round {
    Done(Outcome),
    /// The store has changed and is to be looked at again.
    Again,
    /// A new snapshot whose tokens could not be saved yet.
    Unsaved(CodexAuth),
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        demand: &'a Demand,
        lock: Box<dyn RefreshLock>,
    ) -> Self {
        let end = shared.environment.clock.elapsed() + shared.options.refresh_deadline;
        Self { shared, demand, lock, end }
    }

    /// Redeems what the store holds until there is an answer, and gives the lock back, unless a
    /// pair that could not be saved keeps it.
    pub(super) async fn run(self) -> Result<Outcome> {
        let mut rounds = 0;
        loop {
            let auth = match self.look().await? {
                Ok(auth) => auth,
                Err(outcome) => return Ok(outcome),
            };
            if rounds == MOST_ROUNDS {
                return Err(transient("the store changes faster than it can be read; try again"));
            }
            if let Some(rest) = self.known_answer(&auth)? {
                self.shared.environment.clock.sleep(rest).await;
                continue;
            }
            rounds += 1;
            match self.round(&auth).await? {
                Round::Done(outcome) => return Ok(outcome),
                Round::Again => {}
                Round::Unsaved(auth) => {
                    self.shared.keep_unsaved(self.lock).await;
                    return Ok(Ok(auth));
                }
            }
        }
    }

    /// How much of the turn is left.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_sub(self.shared.environment.clock.elapsed())
    }

    /// Changes what the lock's next holders are told. Best effort: they can do without.
    pub(super) fn note(&self, change: impl FnOnce(&mut Sidecar)) {
        let mut sidecar = self.lock.sidecar();
        change(&mut sidecar);
        if let Err(error) = self.lock.set_sidecar(&sidecar) {
            tracing::debug!(%error, "the refresh lock's record was not written");
        }
    }

    /// The login whose token is to be redeemed, or the outcome that makes it unnecessary.
    async fn look(&self) -> Result<Result<CodexAuth, Outcome>> {
        let view = self.shared.read().await?;
        if let (Some(spent), Some(auth)) = (view.spent, &view.auth) {
            self.shared.save_again(auth.record(), spent).await?;
        }
        if let Some(outcome) = self.shared.judge(self.demand, &view) {
            return Ok(Err(outcome));
        }
        let auth = view.auth.ok_or(GiveUpReason::LoggedOut);
        Ok(match auth {
            Ok(auth) if self.demand.purpose != Purpose::Repair => Ok(auth),
            outcome => Err(outcome),
        })
    }

    async fn round(&self, auth: &CodexAuth) -> Result<Round> {
        let Some(tokens) = auth.managed_tokens() else { return Ok(Round::Again) };
        if self.is_rejected_young(auth) && !self.may_rotate_young() {
            return Ok(Round::Done(Err(GiveUpReason::FreshTokenRejected)));
        }
        let size = auth.record().to_json_pretty().expose().len() + GROWTH;
        let _ready = self.shared.storage.ready(size).await?;
        match self.exchange(&tokens.refresh_token).await? {
            Exchange::Granted(grant) => self.save(auth, grant).await,
            Exchange::NoAnswer(error) => Err(error),
            Exchange::Refused(reason) if self.has_winner(auth, reason).await? => Ok(Round::Again),
            Exchange::Refused(reason) => {
                self.believe(&tokens.refresh_token, reason);
                Err(reason.into_error())
            }
        }
    }

    /// Saves what was granted in the place of `auth`, which was redeemed for it.
    async fn save(&self, auth: &CodexAuth, grant: Grant) -> Result<Round> {
        let is_young = self.is_rejected_young(auth);
        let now = self.shared.environment.clock.now();
        let Some(reply) = Reply::merge(auth, grant, now) else {
            tracing::error!("the token endpoint answered with another account's tokens");
            return Ok(Round::Done(Err(GiveUpReason::IdentityMismatch)));
        };
        self.note(|sidecar| {
            sidecar.add_rotation(reply.redeemed, reply.granted);
            if is_young {
                sidecar.take_young_rotation(now);
            }
        });
        self.shared.memory.rotate(reply.redeemed, &reply.record);
        let seen = self.shared.current.seen();
        match self.shared.save(&reply.record, &[reply.redeemed]).await {
            Ok(SaveOutcome::Saved(record)) => {
                self.shared.memory.mark_saved();
                let auth = self.shared.publish(&seen, record).await?;
                Ok(Round::Done(auth.ok_or(GiveUpReason::LoggedOut)))
            }
            Ok(SaveOutcome::Superseded) => {
                self.shared.memory.forget_rotation();
                Ok(Round::Again)
            }
            Err(error) => {
                tracing::error!(%error, "refreshed tokens could not be saved; they stay in memory");
                let auth = self.shared.publish(&seen, reply.record).await?;
                auth.map_or(Ok(Round::Again), |auth| Ok(Round::Unsaved(auth)))
            }
        }
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
        self.lock.sidecar().may_rotate_young(self.shared.environment.clock.now())
    }
}

pub(super) fn transient(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::RefreshTransient, message)
}
