//! An issuer of single-use refresh tokens in memory, which can misbehave.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::json;

use super::delays::Delays;
use super::machine::Machine;
use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Clock};
use crate::error::Result;
use crate::secret::Secret;
use crate::token_endpoint::{
    Grant, NoAnswer, Redemption, RefusalReason, StoredToken, TokenEndpoint, TokenReply,
    TokenTypeHint,
};

/// How many seconds access tokens live, unless a test sets another life.
pub(crate) const LIFE: i64 = 3600;

/// An issuer of single-use refresh tokens.
pub(crate) struct Issuer {
    machine: Arc<Machine>,
    /// Whether its replies say what time it is.
    pub(crate) is_dated: AtomicBool,
    pub(crate) revocation_takes: Delays,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    logins: usize,
    /// Live refresh tokens and whose they are.
    live: HashMap<String, String>,
    /// Redeemed ones.
    spent: HashMap<String, String>,
    /// Whether a spent token is granted another successor.
    grants_again: bool,
    /// The faults of the next requests.
    faults: VecDeque<Fault>,
    presented: Vec<String>,
    granted: usize,
    latency: Duration,
    life: i64,
    claims: Claims,
    timeouts: Vec<Duration>,
    arrivals: Vec<Duration>,
    clients: Vec<Option<String>>,
}

impl State {
    fn swallows(&mut self) -> bool {
        let is_next = matches!(self.faults.front(), Some(Fault::Swallowed));
        is_next && self.faults.pop_front().is_some()
    }
}

/// What access tokens say of their times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Claims {
    #[default]
    Seconds,
    Milliseconds,
    /// Not when they were issued.
    OnlyEnd,
    /// Nothing that can be read.
    Unreadable,
}

impl Claims {
    fn of(self, issued: i64, life: i64, id: &str) -> serde_json::Value {
        let end = issued + life;
        match self {
            Self::Seconds => json!({"iat": issued, "exp": end, "jti": id}),
            Self::Milliseconds => json!({"iat": issued * 1000, "exp": end * 1000, "jti": id}),
            Self::OnlyEnd => json!({"exp": end, "jti": id}),
            Self::Unreadable => json!({"iat": issued, "exp": "later", "jti": id}),
        }
    }
}

/// What comes of a request in the place of what it asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The token is spent and the reply lost.
    Lost,
    /// The request never arrived.
    Unsent,
    /// The token is refused although it is good.
    Refused(RefusalReason),
    /// The server declines the request with this answer, and the token is not spent.
    Declined(&'static str),
    /// The reply holds another account's tokens.
    OtherAccount,
    /// The reply holds another account's access token, and no id token.
    OtherAccessToken,
    /// Granted as usual, and the id token stays.
    WithoutIdToken,
    /// Granted as usual, and the access token stays.
    WithoutAccessToken,
    /// The token is not spent; come back after so many seconds.
    PutOff(u64),
    /// The token is not spent, but the reply does not tell.
    Unanswered,
    /// A new access token, and the refresh token stays.
    Unrotated,
    /// The request never arrives, and nothing ever comes back.
    Swallowed,
}

impl Issuer {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        let latency = Duration::from_millis(100);
        let state = State { latency, life: LIFE, ..State::default() };
        Self {
            machine,
            is_dated: AtomicBool::new(true),
            revocation_takes: Delays::default(),
            state: Mutex::new(state),
        }
    }

    /// A new login of `account`.
    pub(crate) fn login(&self, account: &str) -> AuthDotJson {
        let mut state = self.state.lock().expect("no panic");
        state.logins += 1;
        let login = format!("{account}#{}", state.logins);
        let grant = self.mint(&mut state, &login, 0);
        let token = |token: Option<Secret>| token.map(|token| token.expose().to_owned());
        let record = json!({
            "auth_mode": "chatgpt",
            "tokens": {
                "id_token": token(grant.id_token), "access_token": token(grant.access_token),
                "refresh_token": token(grant.refresh_token), "account_id": account,
            },
            "last_refresh": (self.now() - TimeDelta::minutes(30)).to_rfc3339(),
        });
        AuthDotJson::parse(record.to_string().as_bytes()).expect("a record")
    }

    /// Redeems `token` as a foreign program does, at once.
    pub(crate) fn rotate(&self, record: &AuthDotJson) -> AuthDotJson {
        let mut record = record.clone();
        let tokens = record.tokens.as_mut().expect("tokens");
        let mut state = self.state.lock().expect("no panic");
        let grant = self.grant(&mut state, tokens.refresh_token.expose()).expect("a live token");
        tokens.access_token = grant.access_token.expect("minted");
        tokens.refresh_token = grant.refresh_token.expect("minted");
        record.last_refresh = Some(self.now());
        record
    }

    pub(crate) fn fail_with(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().expect("no panic").faults.extend(faults);
    }

    /// How often a token was presented, and how often one was granted.
    pub(crate) fn requests(&self) -> (usize, usize) {
        let state = self.state.lock().expect("no panic");
        (state.presented.len(), state.granted)
    }

    /// From now on a spent token is granted another successor, as within a grace window.
    pub(crate) fn grant_again(&self) {
        self.state.lock().expect("no panic").grants_again = true;
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        self.state.lock().expect("no panic").latency = latency;
    }

    /// Access tokens live for so many seconds from now on.
    pub(crate) fn set_life(&self, life: i64) {
        self.state.lock().expect("no panic").life = life;
    }

    /// Access tokens say this of their times from now on.
    pub(crate) fn set_claims(&self, claims: Claims) {
        self.state.lock().expect("no panic").claims = claims;
    }

    /// The timeouts that requests were given.
    pub(crate) fn timeouts(&self) -> Vec<Duration> {
        self.state.lock().expect("no panic").timeouts.clone()
    }

    /// When requests arrived.
    pub(crate) fn arrivals(&self) -> Vec<Duration> {
        self.state.lock().expect("no panic").arrivals.clone()
    }

    /// The OAuth clients that the requests named.
    pub(crate) fn clients(&self) -> Vec<Option<String>> {
        self.state.lock().expect("no panic").clients.clone()
    }

    fn note_client(&self, token: StoredToken<'_>) {
        let client = token.client_id.map(str::to_owned);
        self.state.lock().expect("no panic").clients.push(client);
    }

    pub(crate) fn is_live(&self, token: &str) -> bool {
        self.state.lock().expect("no panic").live.contains_key(token)
    }

    /// What programs on the machine take for the time.
    fn now(&self) -> DateTime<Utc> {
        self.machine.now()
    }

    fn mint(&self, state: &mut State, login: &str, generation: usize) -> Grant {
        let (account, _) = login.split_once('#').expect("an account");
        let now = self.machine.true_time().timestamp();
        let jwt = |payload: serde_json::Value| {
            Some(Secret::new(format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload.to_string()))))
        };
        let refresh_token = format!("rt-{login}-{generation}");
        state.live.insert(refresh_token.clone(), login.to_owned());
        Grant {
            id_token: jwt(
                json!({"sub": account, "iss": "i", "https://api.openai.com/auth": {"chatgpt_account_id": account}}),
            ),
            access_token: jwt(state.claims.of(now, state.life, &refresh_token)),
            refresh_token: Some(Secret::new(refresh_token)),
        }
    }

    fn grant(&self, state: &mut State, token: &str) -> Option<Grant> {
        let generation = token.rsplit_once('-')?.1.parse::<usize>().ok()?;
        let again = || state.spent.get(token).filter(|_| state.grants_again).cloned();
        let (login, generation) = match state.live.remove(token) {
            Some(login) => (login, generation),
            None => (again()?, generation + 100),
        };
        state.spent.insert(token.to_owned(), login.clone());
        state.granted += 1;
        Some(self.mint(state, &login, generation + 1))
    }

    fn answer(&self, token: &str) -> Redemption {
        let no_answer = || NoAnswer::new("a fault");
        let mut state = self.state.lock().expect("no panic");
        state.presented.push(token.to_owned());
        state.arrivals.push(self.machine.boot_time());
        match state.faults.pop_front() {
            Some(Fault::Unsent) => return Redemption::NotSpent(no_answer()),
            Some(Fault::Refused(reason)) => return Redemption::Refused(reason),
            Some(Fault::Declined(answer)) => return Redemption::Declined(NoAnswer::new(answer)),
            Some(Fault::OtherAccount) => {
                return Redemption::Granted(self.mint(&mut state, "acct-z#9", 1));
            }
            Some(Fault::OtherAccessToken) => {
                let grant = self.mint(&mut state, "acct-z#9", 1);
                let access_token = grant.id_token;
                return Redemption::Granted(Grant { id_token: None, access_token, ..grant });
            }
            Some(Fault::PutOff(seconds)) => {
                let retry_after = Some(Duration::from_secs(seconds));
                return Redemption::NotSpent(NoAnswer { retry_after, ..no_answer() });
            }
            Some(Fault::Unrotated) => {
                let grant = self.mint(&mut state, "acct-a#1", 1);
                return Redemption::Granted(Grant { refresh_token: None, ..grant });
            }
            Some(Fault::WithoutIdToken) => {
                let grant = self.grant(&mut state, token).expect("live");
                return Redemption::Granted(Grant { id_token: None, ..grant });
            }
            Some(Fault::WithoutAccessToken) => {
                let grant = self.grant(&mut state, token).expect("live");
                return Redemption::Granted(Grant { access_token: None, ..grant });
            }
            Some(Fault::Unanswered | Fault::Swallowed) => return Redemption::InDoubt(no_answer()),
            Some(Fault::Lost) => {
                drop(self.grant(&mut state, token));
                return Redemption::InDoubt(no_answer());
            }
            None => {}
        }
        match self.grant(&mut state, token) {
            Some(grant) => Redemption::Granted(grant),
            None => Redemption::Refused(RefusalReason::Reused),
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("state", &self.state).finish_non_exhaustive()
    }
}

impl TokenEndpoint for Issuer {
    fn redeem<'a>(
        &'a self,
        refresh_token: StoredToken<'a>,
        timeout: Duration,
    ) -> BoxFuture<'a, TokenReply> {
        Box::pin(async move {
            self.state.lock().expect("no panic").timeouts.push(timeout);
            if self.state.lock().expect("no panic").swallows() {
                std::future::pending::<()>().await;
            }
            // Spent at once, answered later: what happens in between is what matters.
            self.note_client(refresh_token);
            let redemption = self.answer(refresh_token.secret.expose());
            let now = self.machine.true_time().trunc_subsecs(0);
            let latency = self.state.lock().expect("no panic").latency;
            self.machine.sleep(latency).await;
            let date = self.is_dated.load(Ordering::SeqCst).then_some(now);
            TokenReply::new(redemption, date)
        })
    }

    fn revoke<'a>(
        &'a self,
        token: StoredToken<'a>,
        _: TokenTypeHint,
        _: Duration,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.note_client(token);
            self.state.lock().expect("no panic").live.remove(token.secret.expose());
            self.revocation_takes.wait(1).await;
            Ok(())
        })
    }
}
