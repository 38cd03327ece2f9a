//! The way to the issuer: request by request to it, through one of its faults, or to somewhere else,
//! each by the HTTP client that ships.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codex_auth_sdk::Error;
use codex_auth_sdk::environment::{BoxFuture, Clock};
use codex_auth_sdk::token_endpoint::{
    HttpTokenEndpoint, Redemption, StoredToken, TokenEndpoint, TokenReply, TokenTypeHint,
};
use serde_json::{Value, json};

use super::clock::FastClock;
use super::failure::Failure;
use super::sockets::{Sockets, endpoint};
use crate::issuer::Realm;

/// Real time for a request that only time ends.
const SHORT: Duration = Duration::from_millis(300);

/// Real time for every other one, however slow this machine is.
const LONG: Duration = Duration::from_secs(60);

pub(super) struct Route {
    realm: Realm,
    issuer: HttpTokenEndpoint,
    sockets: Arc<Sockets>,
    clock: Arc<FastClock>,
    /// What becomes of the next requests; those after it go to the issuer.
    plan: Mutex<VecDeque<Failure>>,
    asked: Mutex<Vec<Asked>>,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) at: Duration,
    pub(super) failure: Option<Failure>,
    pub(super) answer: Redemption,
}

impl Route {
    pub(super) fn new(
        realm: &Realm,
        sockets: &Arc<Sockets>,
        clock: &Arc<FastClock>,
        plan: &[Failure],
    ) -> Arc<Self> {
        Arc::new(Self {
            realm: realm.clone(),
            issuer: endpoint(&realm.url()),
            sockets: Arc::clone(sockets),
            clock: Arc::clone(clock),
            plan: Mutex::new(plan.iter().cloned().collect()),
            asked: Mutex::default(),
        })
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        locked(&self.asked).clone()
    }

    async fn send(&self, token: StoredToken<'_>, failure: Option<&Failure>) -> TokenReply {
        let timeout = if failure.is_some_and(Failure::takes_all_the_time) { SHORT } else { LONG };
        let ask = || self.issuer.redeem(token, timeout);
        match failure {
            None => ask().await,
            Some(Failure::Unreached(socket)) => {
                self.sockets.endpoint(*socket).redeem(token, timeout).await
            }
            Some(Failure::Fault(fault)) => {
                self.control("faults", self.placed(fault)).await;
                let answer = ask().await;
                self.control("clear_faults", json!({})).await;
                answer
            }
            Some(Failure::Late) => self.held("arrival", ask()).await,
            Some(Failure::Unanswered) => self.held("reply", ask()).await,
        }
    }

    /// Lets a request wait at the issuer until its sender has left, and nobody hears its answer.
    async fn held(&self, at: &str, asking: BoxFuture<'_, TokenReply>) -> TokenReply {
        let unclear = |stats: Value| stats["tokens"]["a0"]["unclear"].as_u64().unwrap_or_default();
        let before = unclear(self.control("stats", json!({})).await);
        self.control("hold", json!({"at": at})).await;
        let answer = asking.await;
        let left = json!({"until": {"tokens": {"a0": {"unclear": before + 1}}}});
        self.control("wait", left).await;
        self.control("release", json!({})).await;
        answer
    }

    /// The fault with the URL of the realm in it, whose host has another name there.
    fn placed(&self, fault: &Value) -> Value {
        let mut fault = fault.clone();
        if fault["to"] == "{elsewhere}" {
            let elsewhere = self.realm.url().replace("127.0.0.1", "localhost");
            fault["to"] = json!(format!("{elsewhere}/oauth/stolen"));
        }
        fault
    }

    async fn control(&self, call: &str, arguments: Value) -> Value {
        self.realm.call_async(call, arguments).await
    }
}

impl TokenEndpoint for Route {
    fn redeem<'a>(&'a self, token: StoredToken<'a>, _: Duration) -> BoxFuture<'a, TokenReply> {
        Box::pin(async move {
            let at = self.clock.elapsed();
            let failure = locked(&self.plan).pop_front();
            let reply = self.send(token, failure.as_ref()).await;
            locked(&self.asked).push(Asked { at, failure, answer: reply.redemption.clone() });
            reply
        })
    }

    fn revoke<'a>(
        &'a self,
        token: StoredToken<'a>,
        hint: TokenTypeHint,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.issuer.revoke(token, hint, timeout)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
