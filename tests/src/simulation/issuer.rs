//! The issuer as clients see it: it answers late, not at all, or with less than it could.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use codex_auth_sdk::environment::BoxFuture;
use codex_auth_sdk::token_endpoint::{
    Grant, NoAnswer, Redemption, RefusalReason, StoredToken, TokenEndpoint, TokenReply,
    TokenTypeHint,
};
use codex_auth_sdk::{Result, Secret};
use tokio::sync::oneshot;

use super::executor::{First, ProcessId, first};
use super::journal::Event;
use super::ledger::{Client, PEOPLE, PairId, Request};
use super::state::Ruling;
use super::world::World;

/// What the issuer answers.
pub(super) enum Answer {
    Granted(PairId),
    Refused(RefusalReason),
    NotSpent(Option<Duration>),
    Declined,
    InDoubt,
}

/// An answer, and what time it was at the issuer.
pub(super) struct Reply {
    pub(super) answer: Answer,
    date: DateTime<Utc>,
}

impl Answer {
    const fn name(&self) -> &'static str {
        match self {
            Self::Granted(_) => "granted",
            Self::Refused(_) => "refused",
            Self::NotSpent(_) => "not spent",
            Self::Declined => "declined",
            Self::InDoubt => "in doubt",
        }
    }
}

impl World {
    /// Sends `token` to the issuer, which sees to it whatever becomes of who asked.
    pub(super) fn ask(self: &Arc<Self>, client: Client, token: &str) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        let (world, token) = (Arc::clone(self), token.to_owned());
        self.spawn(self.fate, async move {
            if let Some(answer) = world.answer(client, &token).await {
                world.state().note(Event::Answered(client, answer.name()));
                // Who asked may have gone.
                let date = world.state().issuer_time();
                drop(sender.send(Reply { answer, date }));
            }
        });
        receiver
    }

    /// None where the answer is lost on its way.
    async fn answer(&self, client: Client, token: &str) -> Option<Answer> {
        let manners = &self.hazards.manners;
        let request = Request { by: client, at: self.executor.now() };
        self.pause(0, 20).await;
        let is_down = self.state().is_down;
        if self.goes_on() && (is_down || self.chance.happens(manners.faults)) {
            return self.fault().await;
        }
        if manners.spends_late {
            self.pause(manners.grant.0, manners.grant.1).await;
        }
        let ruling = self.state().redeem(request, token);
        let (shortest, longest) = match ruling {
            Ruling::Granted(_) if manners.spends_late => (0, 20),
            Ruling::Granted(_) => manners.grant,
            Ruling::Reused | Ruling::Invalidated => manners.refusal,
        };
        self.pause(shortest, longest).await;
        if self.goes_on() && self.chance.happens(manners.lost_replies) {
            return None;
        }
        Some(match ruling {
            Ruling::Granted(pair) => Answer::Granted(self.mix_up(pair)),
            Ruling::Reused => Answer::Refused(manners.refusal_reason),
            Ruling::Invalidated => Answer::Refused(RefusalReason::Invalidated),
        })
    }

    /// The pair to answer with: rarely that of another user, where a client can tell.
    fn mix_up(&self, pair: PairId) -> PairId {
        let mut state = self.state();
        let people = PEOPLE.len();
        let owner = state.ledger.person(pair);
        let other = (owner + 1 + self.chance.below(people - 1)) % people;
        let users = (PEOPLE[owner].user, PEOPLE[other].user);
        let is_seen = users.0.zip(users.1).is_some_and(|(owner, other)| owner != other);
        let happens = self.goes_on() && self.chance.happens(self.hazards.manners.mixups);
        let manners = &self.hazards.manners;
        if happens && is_seen && manners.rotates && !manners.omits_id {
            return state.sign_in(other);
        }
        pair
    }

    /// No clear answer, and the token is not spent.
    async fn fault(&self) -> Option<Answer> {
        match self.chance.below(6) {
            0 => Some(Answer::NotSpent(None)),
            1 => Some(Answer::NotSpent(Some(self.chance.millis(1000, 20_000)))),
            2 => Some(Answer::Declined),
            3 => Some(Answer::InDoubt),
            4 => None,
            _ => {
                // Longer than anybody waits.
                self.pause(60_000, 60_000).await;
                None
            }
        }
    }
}

/// The token endpoint of one manager.
pub(super) struct Endpoint {
    pub(super) world: Arc<World>,
    pub(super) process: ProcessId,
    /// Which of the process's managers it is.
    pub(super) life: u32,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The tokens of `pair`, which have arrived.
    fn receive(&self, pair: PairId) -> Grant {
        let mut state = self.world.state();
        state.deliver(Client::Sdk(self.process), pair);
        state.ledger.pairs[pair].delivered = (self.life, state.now());
        let known = &state.ledger.pairs[pair];
        let manners = &self.world.hazards.manners;
        let mut grant = Grant::default();
        grant.id_token = (!manners.omits_id).then(|| Secret::new(known.id.clone()));
        grant.access_token = Some(Secret::new(known.access.clone()));
        grant.refresh_token = manners.rotates.then(|| Secret::new(known.refresh.clone()));
        grant
    }
}

impl TokenEndpoint for Endpoint {
    fn redeem<'a>(
        &'a self,
        refresh_token: StoredToken<'a>,
        timeout: Duration,
    ) -> BoxFuture<'a, TokenReply> {
        Box::pin(async move {
            let world = &self.world;
            let asked_at = world.executor.now();
            let refresh_token = refresh_token.secret.expose();
            let pair = world.state().present((self.process, self.life), refresh_token);
            let answer = world.ask(Client::Sdk(self.process), refresh_token);
            let (answer, date) = match first(answer, world.executor.sleep(timeout)).await {
                First::Left(Ok(reply)) => {
                    world.state().heard(self.process, self.life);
                    (reply.answer, Some(reply.date))
                }
                First::Left(Err(_)) | First::Right(()) => (Answer::InDoubt, None),
            };
            let no_answer = |retry_after| {
                let mut no_answer = NoAnswer::new("a fault");
                no_answer.retry_after = retry_after;
                no_answer
            };
            let redemption = match answer {
                Answer::Granted(pair) => Redemption::Granted(self.receive(pair)),
                Answer::Refused(reason) => {
                    world.state().refused((self.process, self.life), pair, asked_at);
                    Redemption::Refused(reason)
                }
                Answer::NotSpent(retry_after) => Redemption::NotSpent(no_answer(retry_after)),
                Answer::Declined => Redemption::Declined(no_answer(None)),
                Answer::InDoubt => Redemption::InDoubt(no_answer(None)),
            };
            TokenReply::new(redemption, date)
        })
    }

    fn revoke<'a>(
        &'a self,
        token: StoredToken<'a>,
        _: TokenTypeHint,
        _: Duration,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.world.pause(5, 600).await;
            self.world.state().revoke_login(token.secret.expose(), "signed out");
            Ok(())
        })
    }
}
