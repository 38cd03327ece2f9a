//! What a flight does with the refresh lock: it reads the store, redeems the stored refresh token,
//! and saves the new tokens.

use std::sync::Arc;
use std::time::Duration;

use super::decision::GiveUpReason;
use super::demand::{Demand, Outcome};
use super::exchange::{Answer, Exchange};
use super::leftover::save_leftover;
use super::origin::Origin;
use super::refusal::{Refusal, has_winner};
use super::rejection::Rejection;
use super::reply::Reply;
use super::save::{SaveOutcome, repair, save_from};
use super::turn::Turn;
use super::unsaved::Unsaved;
use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result, transient};
use crate::identity::Relation;
use crate::ledger::{Knowledge, Ledger};
use crate::process::Program;
use crate::snapshot::CodexAuth;
use crate::state::{Current, Event, State};
use crate::storage::{Readiness, RefreshLock};
use crate::token_endpoint::{RefusalReason, TokenEndpoint};

/// The most redemptions in one turn: the first, and one for each other refresh token that another
/// program stores meanwhile.
const MOST_ROUNDS: usize = 3;

/// How many bytes the new record may be larger than the one that it replaces.
const GROWTH: usize = 4096;

/// One turn with the refresh lock, to meet one demand.
pub(super) struct Attempt<'a> {
    turn: Turn<'a>,
    demand: &'a Demand,
    endpoint: &'a dyn TokenEndpoint,
}

/// The result of a read of the store.
enum Look {
    /// The store has the answer.
    Answered(Outcome),
    /// The refresh token of this login must be redeemed.
    Redeem(CodexAuth),
}

/// The result of one redemption.
enum Round {
    Done(Outcome),
    /// The store or the snapshot has changed, and the store must be read again.
    Again,
    /// The token, which was at this place, was redeemed, and the new tokens could not be saved yet.
    Unsaved(Origin),
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        state: &'a State,
        endpoint: &'a dyn TokenEndpoint,
        demand: &'a Demand,
        lock: Box<dyn RefreshLock>,
    ) -> Self {
        Self { turn: Turn::new(state, lock), demand, endpoint }
    }

    /// Redeems the stored refresh token until there is an answer. Then it gives the lock back, or
    /// hands it over to `unsaved` if the new tokens could not be saved.
    pub(super) async fn run(self, unsaved: &Arc<Unsaved>) -> Result<Outcome> {
        let state = self.turn.state;
        let mut rounds = 0;
        loop {
            let auth = match self.look().await? {
                Look::Answered(outcome) => return Ok(outcome),
                Look::Redeem(auth) => auth,
            };
            let known = self.turn.about(&auth);
            if known == Knowledge::InDoubt && save_leftover(&self.turn, &auth).await? {
                continue;
            }
            match known {
                Knowledge::Refused(reason) => {
                    return Err(reason.into_error(&state.storage.location(), None));
                }
                Knowledge::RestUntil { until, declines, .. } => {
                    let rest = self.turn.affordable_rest(until, declines)?;
                    state.watch().changes_within(rest).await;
                    continue;
                }
                Knowledge::InDoubt if self.demand.is_ahead_of_time(&auth, state) => {
                    return Err(self.not_ahead_of_time(&auth));
                }
                Knowledge::Spent { .. } | Knowledge::InDoubt | Knowledge::Nothing => {}
            }
            if rounds == MOST_ROUNDS || !self.turn.is_time_after(Duration::ZERO) {
                return Err(transient("the store changes faster than it can be read; try again"));
            }
            rounds += 1;
            match self.round(&auth, known).await? {
                Round::Done(outcome) => return Ok(outcome),
                Round::Again => {}
                Round::Unsaved(origin) => {
                    unsaved.keep(self.turn.lock, origin).await;
                    let view = state.reload().await?;
                    let outcome = self.demand.answer_in(&view, state);
                    return Ok(outcome.unwrap_or_else(|| view.auth.ok_or(GiveUpReason::LoggedOut)));
                }
            }
        }
    }

    /// Reads the store for an answer without a redemption. If the stored refresh token is spent,
    /// this stores its successor again first.
    async fn look(&self) -> Result<Look> {
        let view = self.turn.state.reload().await?;
        repair(self.turn.state, &view).await?;
        if let Some(outcome) = self.demand.answer_in(&view, self.turn.state) {
            return Ok(Look::Answered(outcome));
        }
        match view.auth {
            Some(auth) if auth.managed_tokens().is_some() => Ok(Look::Redeem(auth)),
            Some(_) => Err(self.is_renewed_elsewhere()),
            None => Ok(Look::Answered(Err(GiveUpReason::LoggedOut))),
        }
    }

    async fn round(&self, auth: &CodexAuth, known: Knowledge) -> Result<Round> {
        let Some(tokens) = auth.managed_tokens() else { return Ok(Round::Again) };
        if let Knowledge::Spent { .. } = known {
            // Some servers revoke the login of a program that presents a spent token.
            return self.refuse(auth, RefusalReason::Reused.into()).await;
        }
        let state = self.turn.state;
        let rejection = Rejection::of(auth, self.demand, state);
        if let Some(rejection) = &rejection {
            rejection.check(&self.turn, auth)?;
        }
        let Some(_ready) = self.ready(auth).await? else { return Ok(Round::Again) };
        // The exchange reads the store once more, so that this is where the token is.
        let origin = Origin::of(state).await?;
        let (turn, endpoint, token) = (&self.turn, self.endpoint, &tokens.refresh_token);
        let exchange = Exchange { turn, demand: self.demand, endpoint, auth, token };
        match exchange.run(known == Knowledge::InDoubt).await? {
            Answer::Granted(grant, asked_at) => {
                state.counters.redemptions.count();
                match Reply::merge(auth, grant, asked_at, state.now()) {
                    Some(reply) => Ok(self.save(auth, reply, origin, rejection).await),
                    None => self.refuse(auth, RefusalReason::OtherAccount.into()).await,
                }
            }
            Answer::PutOff(error) => Err(error),
            Answer::Superseded => Ok(Round::Again),
            Answer::Refused(refusal) => self.refuse(auth, refusal).await,
        }
    }

    /// Proves that the store can be written. Returns none if it holds another refresh token than that
    /// of `auth` by now: some programs hold a lock of the save over a whole refresh of their own.
    async fn ready(&self, auth: &CodexAuth) -> Result<Option<Readiness>> {
        let state = self.turn.state;
        let size = auth.record().to_json_pretty().expose().len() + GROWTH;
        let start = self.turn.left();
        loop {
            match state.storage.ready(size).await {
                Err(error) if error.kind() == ErrorKind::LockTimeout => {
                    if self.turn.has_changed(auth).await? {
                        return Ok(None);
                    }
                    if !self.turn.is_time_after(Duration::ZERO) {
                        return Err(error);
                    }
                    state.environment.poll_pause(start - self.turn.left()).await;
                }
                ready => return ready.map(Some),
            }
        }
    }

    /// Remembers that the server refuses the refresh token of `auth`, unless the store holds
    /// another one by now.
    async fn refuse(&self, auth: &CodexAuth, refusal: Refusal) -> Result<Round> {
        let reason = refusal.reason;
        if has_winner(&self.turn, auth, reason).await? {
            return Ok(Round::Again);
        }
        // A record that others do not see any more, such as a mounted file that its host has
        // replaced, cannot show the winner.
        self.turn.lock.check()?;
        let Some(tokens) = auth.managed_tokens() else { return Ok(Round::Again) };
        let error = refusal.judge(&self.turn, &tokens.refresh_token).await;
        match reason {
            RefusalReason::OtherAccount => Ok(Round::Done(Err(GiveUpReason::IdentityMismatch))),
            _ => Err(error),
        }
    }

    /// Saves the new tokens in `reply`, where `origin` is the place of the redeemed one, and publishes
    /// them.
    async fn save(
        &self,
        auth: &CodexAuth,
        reply: Reply,
        origin: Origin,
        rejection: Option<Rejection>,
    ) -> Round {
        let state = self.turn.state;
        self.remember(auth, &reply, rejection).await;
        let seen = state.current.seen();
        let saved = save_from(&origin, state, &reply.record).await;
        if let Ok(outcome) = &saved {
            outcome.note(state);
            state.share_saved_pair(&*self.turn.lock).await;
        }
        match saved {
            Ok(SaveOutcome::Saved(record)) => {
                let auth = self.publish(&seen, &record);
                state.announce(Event::Refreshed);
                auth.map_or(Round::Again, |auth| Round::Done(Ok(auth)))
            }
            Ok(SaveOutcome::SavedAtOrigin | SaveOutcome::Superseded) => Round::Again,
            Err(error) => {
                state.publish(&seen, &reply.record);
                state.announce(Event::Refreshed);
                state.pair_is_unsaved(error);
                Round::Unsaved(origin)
            }
        }
    }

    /// Publishes the login in the saved record, unless another program has changed whose it is or
    /// has switched its workspace: then the store is read like after any other change.
    fn publish(&self, seen: &Arc<Current>, saved: &Arc<AuthDotJson>) -> Option<CodexAuth> {
        let state = self.turn.state;
        let is_same = |saved: &CodexAuth| state.compare(&self.demand.auth, saved) == Relation::Same;
        state.login_in(saved).filter(is_same)?;
        state.publish(seen, saved)
    }

    /// Remembers the new tokens in memory, then notes the rotation for other processes. In this
    /// order no process learns of tokens that this one does not have.
    async fn remember(&self, auth: &CodexAuth, reply: &Reply, rejection: Option<Rejection>) {
        let (state, now) = (self.turn.state, self.turn.state.now());
        let program = Program::current();
        let note = |ledger: &mut Ledger| {
            ledger.rotate(reply.redeemed, reply.granted);
            ledger.redeemed(reply.granted, now, program.clone());
            if let Some(rejection) = rejection {
                rejection.take_rotation(ledger, now);
            }
        };
        state.tokens.note_here(note);
        self.note_renewal(auth, reply);
        state.memory.keep_pair(&reply.record);
        state.tokens.note_for_others(&*self.turn.lock, note).await;
    }

    /// Notes since when the access token of `reply` may be there, unless it is still that of `auth`.
    fn note_renewal(&self, auth: &CodexAuth, reply: &Reply) {
        let state = self.turn.state;
        let is_other = |granted: &CodexAuth| granted.access_token() != auth.access_token();
        let Some(granted) = state.login_in(&reply.record).filter(is_other) else { return };
        let now = state.environment.moment();
        state.tokens.note_here(|ledger| {
            if let Some(renewal) = granted.renewed(ledger.time(), &reply.asked_at, &now) {
                ledger.renew(renewal);
            }
        });
    }

    /// Returns the error of a caller whose login has lost its refresh token after the lock was taken.
    fn is_renewed_elsewhere(&self) -> Error {
        let store = self.turn.state.storage.location();
        transient(format!("another program renews the login in {store} by now; try again"))
    }

    /// Returns the error that puts off a refresh token in doubt. If an earlier request has spent
    /// the token, the server may revoke the login of the program that presents it again, and with
    /// the login an access token that still works.
    fn not_ahead_of_time(&self, auth: &CodexAuth) -> Error {
        let left = self.turn.state.timing(auth).left().and_then(|left| left.to_std().ok());
        let error = transient(
            "an earlier request with the refresh token was never answered; the token is presented \
             again once the access token has expired or was rejected",
        );
        match left {
            Some(left) => error.with_retry_after(left),
            None => error,
        }
    }
}
