//! One sequence of failures, the managers that live through it, and what must hold in the end.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use codex_auth_sdk::token_endpoint::{Redemption, RefusalReason, TokenEndpoint};
use codex_auth_sdk::{AuthManager, CodexAuth, Error, UnauthorizedRecoveryDecision};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::clock::FastClock;
use super::failure::Failure;
use super::route::{Asked, Route};
use super::sockets::Sockets;
use crate::issuer::{Issuer, Realm};
use crate::log::Log;
use crate::torture::Trial;

/// Requests that one recovery may make: three that spend nothing, and one that may have.
const MOST_REQUESTS: usize = 4;

/// After so many requests without an answer nobody asks for a while, at the least.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// Failures in a row, and what is to be seen to.
pub(super) struct Sequence {
    pub(super) name: String,
    pub(super) plan: Vec<Failure>,
    /// How long the server grants a spent token again.
    pub(super) grace_ms: u64,
    pub(super) managers: usize,
}

/// What came of all sequences.
#[derive(Default)]
pub(super) struct Tally {
    requests: usize,
    recovered: u64,
    refused: u64,
    lost_replies: u64,
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, recovered, refused, lost_replies } = self;
        write!(
            f,
            "{requests} requests, {recovered} recovered, {refused} refused, {lost_replies} by lost replies"
        )
    }
}

type Answer = Result<UnauthorizedRecoveryDecision, Error>;

/// A login, the way to its issuer, and those who share it.
struct Run<'a> {
    sequence: &'a Sequence,
    realm: Realm,
    home: TempDir,
    clock: Arc<FastClock>,
    route: Arc<Route>,
    managers: Vec<AuthManager>,
    rejected: CodexAuth,
    losses: Vec<String>,
    output: String,
}

impl Sequence {
    /// Lets all managers recover until there is a final answer, and checks what it came to.
    pub(super) async fn run(
        &self,
        issuer: &Issuer,
        sockets: &Arc<Sockets>,
        log: &Log,
        tally: &mut Tally,
        trial: &mut Trial,
    ) {
        log.clear();
        let mut run = Run::start(self, issuer, sockets).await;
        let answers = run.recover().await;
        run.check_requests();
        run.check_end(&answers, tally).await;
        run.check_leaks(log).await;
        trial.tried += 1;
        trial.excepted = tally.lost_replies;
        let plan = format!("{}, grace {} ms, {:?}", self.name, self.grace_ms, self.plan);
        trial.lost.extend(run.losses.iter().map(|loss| format!("{loss}: {plan}")));
    }
}

impl<'a> Run<'a> {
    async fn start(sequence: &'a Sequence, issuer: &Issuer, sockets: &Arc<Sockets>) -> Self {
        let config = json!({"grace_ms": sequence.grace_ms, "access_ttl_ms": 30 * 86_400_000_u64});
        let start = json!({"name": "sequence", "config": config, "logins": {"a": {}}});
        let start = issuer.realm("").call_async("realms", start).await;
        let realm = issuer.realm("sequence");
        drop(realm.call_async("kill_access", json!({})).await);
        let home = tempfile::tempdir().expect("a folder");
        let text = start["logins"]["a"]["text"].as_str().expect("a record");
        std::fs::write(home.path().join("auth.json"), text).expect("written");
        let clock = FastClock::start();
        let route = Route::new(&realm, sockets, &clock, &sequence.plan);
        let mut managers = Vec::new();
        for _ in 0..sequence.managers {
            let builder = AuthManager::builder()
                .codex_home(home.path())
                .token_endpoint(Arc::clone(&route) as Arc<dyn TokenEndpoint>)
                .environment(clock.environment());
            managers.push(builder.build().await.expect("a manager"));
        }
        let rejected = managers[0].auth().expect("signed in");
        let (losses, output) = (Vec::new(), String::new());
        Self { sequence, realm, home, clock, route, managers, rejected, losses, output }
    }

    /// What the managers come to in the end.
    async fn recover(&mut self) -> Vec<Answer> {
        // One turn for every failure would do; machines that stand still now and then need more.
        let most = 3 * self.sequence.plan.len() + 5;
        for _ in 0..most {
            let before = self.route.asked().len();
            let answers = self.turn().await;
            let asked = self.route.asked().len() - before;
            let may_ask = MOST_REQUESTS * self.managers.len();
            self.expect(asked <= may_ask, || format!("{asked} requests in one turn"));
            for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                self.output.push_str(&format!("{error} {error:?}\n"));
            }
            let transient = |answer: &Answer| answer.as_ref().is_err_and(Error::is_transient);
            if !answers.iter().any(transient) {
                return answers;
            }
            let rest = self.longest_rest(&answers);
            self.clock.skip(rest);
        }
        self.losses.push(format!("no final answer in {most} turns"));
        Vec::new()
    }

    /// All managers at once.
    async fn turn(&self) -> Vec<Answer> {
        let mut turn = JoinSet::new();
        for manager in &self.managers {
            let (manager, auth) = (manager.clone(), self.rejected.clone());
            turn.spawn(async move {
                let recovery = manager.unauthorized_recovery();
                manager.recover_from_unauthorized(&auth, &recovery).await
            });
        }
        turn.join_all().await
    }

    /// How long the errors say to wait.
    fn longest_rest(&mut self, answers: &[Answer]) -> Duration {
        let mut longest = Duration::ZERO;
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let rest = error.retry_after().unwrap_or_default();
            let says_when = error.code() != "refresh_transient" || !rest.is_zero();
            self.expect(says_when, || format!("{error} does not say when to try again"));
            longest = longest.max(rest);
        }
        longest
    }

    /// Requests are few, apart, and end with the first clear answer.
    fn check_requests(&mut self) {
        let asked = self.route.asked();
        let last = asked.len().saturating_sub(1);
        for asked in &asked[..last] {
            let is_last = match asked.answer {
                // Believed only if it lasts.
                Redemption::Refused(RefusalReason::Uncoded) => false,
                Redemption::Granted(_) | Redemption::Refused(_) => true,
                _ => false,
            };
            self.expect(!is_last, || format!("asked again after {:?}", asked.answer));
        }
        for asked in &asked {
            let failure = asked.failure.as_ref();
            let is_right = failure.is_none_or(|failure| failure.is_answered_by(&asked.answer));
            self.expect(is_right, || format!("{asked:?}"));
        }
        for crowd in asked.windows(MOST_REQUESTS + 1) {
            let apart = crowd[MOST_REQUESTS].at - crowd[0].at;
            self.expect(apart >= SHORTEST_REST, || {
                format!("{} requests within {apart:?}", crowd.len())
            });
        }
    }

    /// The answer is the right one, by what the issuer knows.
    async fn check_end(&mut self, answers: &[Answer], tally: &mut Tally) {
        let asked = self.route.asked();
        let stats = self.realm.call_async("stats", json!({})).await;
        for (name, most) in [("max_redemptions", 1), ("replays", 0), ("stolen", 0)] {
            let found = stats[name].as_u64().unwrap_or(u64::MAX);
            self.expect(found <= most, || format!("{name} is {found}"));
        }
        let text = std::fs::read_to_string(self.home.path().join("auth.json")).expect("a record");
        let live = self.realm.call_async("live", json!({"text": text})).await;
        tally.requests += asked.len();
        for answer in answers {
            match answer {
                Ok(UnauthorizedRecoveryDecision::Retry) => {
                    self.expect(live["refresh"] == true && live["access"] == true, || {
                        format!("the login that was recovered is {live}")
                    });
                }
                Ok(decision) => self.losses.push(format!("{decision:?}")),
                Err(error) => self.check_refusal(error, &asked, &live, &stats),
            }
        }
        let is_refused = answers.iter().any(Result::is_err);
        tally.recovered += u64::from(!is_refused);
        tally.refused += u64::from(is_refused);
        tally.lost_replies += u64::from(live["refresh"] == false);
    }

    /// A refusal is a lie of the server's, or the end of a login whose reply was lost.
    fn check_refusal(&mut self, error: &Error, asked: &[Asked], live: &Value, stats: &Value) {
        let was_in_doubt = asked.iter().any(|asked| matches!(asked.answer, Redemption::InDoubt(_)));
        // A server that says why it refuses the token is believed.
        let is_explained = asked.last().is_some_and(|asked| {
            use RefusalReason::{Expired, Invalidated};
            matches!(asked.answer, Redemption::Refused(Expired | Invalidated))
        });
        let lied =
            asked.last().and_then(|asked| asked.failure.as_ref()).is_some_and(Failure::is_refusal);
        let is_unknown = error.reason() == Some("outcome_unknown");
        self.expect(is_unknown == (was_in_doubt && !is_explained), || {
            format!("{error} after {asked:?}")
        });
        if live["refresh"] == true {
            self.expect(lied, || format!("a good login is refused: {error}"));
        } else {
            let is_lost = stats["grants"] == 1 && stats["tokens"]["a0"]["delivered"] == 0;
            let is_excepted = is_lost && self.sequence.grace_ms == 0 && was_in_doubt;
            self.expect(is_excepted, || format!("the login is dead: {error}, {stats}"));
        }
    }

    /// Nothing that anybody could read has a token in it.
    async fn check_leaks(&mut self, log: &Log) {
        let text = format!("{}{:?}{}", self.output, self.managers, log.text());
        let leaks = self.realm.call_async("leaks", json!({"text": text})).await;
        self.expect(leaks["leaks"] == json!([]), || format!("{leaks}"));
        self.expect(log.text().contains("TRACE"), || "nothing was logged".to_owned());
    }

    fn expect(&mut self, holds: bool, loss: impl FnOnce() -> String) {
        if !holds {
            self.losses.push(loss());
        }
    }
}
