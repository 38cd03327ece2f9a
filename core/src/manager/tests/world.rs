//! A store that can fail and an issuer in memory, for tests under a paused clock.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::json;

use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Clock, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::paused::simulated;
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::storage::{
    AuthStorage, EphemeralStorage, Loaded, Readiness, RefreshLock, Stamp, Swap, Version,
};
use crate::token_endpoint::{
    Grant, NoAnswer, Redemption, RefusalReason, StoredToken, TokenEndpoint, TokenReply,
    TokenTypeHint,
};
use crate::{AuthManager, AuthManagerBuilder};

/// Access tokens of this world live for an hour, unless it is told otherwise.
pub(super) const LIFE: i64 = 3600;

pub(super) struct World {
    pub(super) environment: Environment,
    pub(super) machine: Arc<Machine>,
    pub(super) store: Arc<FaultyStore>,
    pub(super) issuer: Arc<Issuer>,
}

impl World {
    /// A world in which account `acct-a` is signed in.
    pub(super) fn new() -> Self {
        let mut environment =
            simulated(DateTime::from_timestamp(1_800_000_000, 0).expect("a time"));
        let machine = Arc::new(Machine::new(environment.clock));
        environment.clock = Arc::clone(&machine) as Arc<dyn Clock>;
        let issuer = Arc::new(Issuer::new(Arc::clone(&machine)));
        let store = Arc::new(FaultyStore::default());
        let world = Self { environment, machine, store, issuer };
        world.sign_in("acct-a");
        world
    }

    pub(super) fn sign_in(&self, account: &str) {
        self.store.memory.replace(Some(self.issuer.login(account)));
    }

    pub(super) fn builder(&self) -> AuthManagerBuilder {
        AuthManager::builder()
            .storage(Arc::clone(&self.store) as Arc<dyn AuthStorage>)
            .token_endpoint(Arc::clone(&self.issuer) as Arc<dyn TokenEndpoint>)
            .environment(self.environment.clone())
    }

    pub(super) async fn manager(&self) -> AuthManager {
        self.builder().build().await.expect("a manager")
    }

    /// The stored refresh token.
    pub(super) fn stored(&self) -> Option<String> {
        let record = self.store.memory.record()?;
        Some(record.tokens.as_ref()?.refresh_token.expose().to_owned())
    }

    /// Whether the access token of `auth` has ended.
    pub(super) fn has_expired(&self, auth: &CodexAuth) -> bool {
        auth.expires_at().is_some_and(|end| end <= self.machine.true_time())
    }

    /// Lets `duration` pass.
    pub(super) async fn pass(&self, duration: Duration) {
        self.environment.clock.sleep(duration).await;
    }
}

/// The clocks of a machine: its wall clock can be wrong, and its timers stop while it sleeps.
pub(super) struct Machine {
    clock: Arc<dyn Clock>,
    ahead: AtomicI64,
    slept: AtomicI64,
    paused: AtomicI64,
}

impl Machine {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let [ahead, slept, paused] = [0; 3].map(AtomicI64::new);
        Self { clock, ahead, slept, paused }
    }

    /// Has the machine sleep for so many seconds.
    pub(super) fn suspend(&self, seconds: i64) {
        self.slept.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Has the machine stand still for so many seconds, as a paused virtual machine does; its host
    /// sets the wall clock then.
    pub(super) fn pause(&self, seconds: i64) {
        self.paused.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets the wall clock ahead by so many seconds more.
    pub(super) fn step(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The time everywhere else.
    pub(super) fn true_time(&self) -> DateTime<Utc> {
        let away = self.slept.load(Ordering::SeqCst) + self.paused.load(Ordering::SeqCst);
        self.clock.now() + TimeDelta::seconds(away)
    }
}

impl Clock for Machine {
    fn now(&self) -> DateTime<Utc> {
        self.true_time() + TimeDelta::seconds(self.ahead.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn boot_time(&self) -> Duration {
        let slept = self.slept.load(Ordering::SeqCst).unsigned_abs();
        self.elapsed() + Duration::from_secs(slept)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}

/// A store in memory whose next commits can fail.
#[derive(Debug, Default)]
pub(super) struct FaultyStore {
    pub(super) memory: EphemeralStorage,
    pub(super) commits: AtomicUsize,
    pub(super) failing_commits: AtomicUsize,
    /// Commits that fail although they have written.
    pub(super) failing_syncs: AtomicUsize,
    pub(super) is_unreadable: AtomicBool,
    pub(super) commit_takes: Delays,
    pub(super) ready_takes: Delays,
    pub(super) locks_tried: AtomicUsize,
    pub(super) locks_taken: AtomicUsize,
    pub(super) is_unstamped: AtomicBool,
    pub(super) lock_is_lost: Arc<AtomicBool>,
    pub(super) failing_notes: Arc<AtomicBool>,
    /// The commits of whoever comes to them from now on never end: before they write, or after.
    pub(super) hanging_commits: [AtomicBool; 2],
    holder: Held,
    hears_notes: Arc<Listener>,
}

/// The lock inside of the one that was handed out last.
type Held = Arc<Mutex<Option<Box<dyn RefreshLock>>>>;

/// Hears each ledger that is about to be written.
#[derive(Default)]
struct Listener(Mutex<Option<Hear>>);

type Hear = Box<dyn FnMut(&Ledger) + Send>;

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl FaultyStore {
    /// Has the holder of the refresh lock die, as far as other processes can tell.
    pub(super) fn kill_holder(&self) {
        drop(self.holder.lock().expect("no panic").take());
    }

    pub(super) fn on_note(&self, listener: impl FnMut(&Ledger) + Send + 'static) {
        *self.hears_notes.0.lock().expect("no panic") = Some(Box::new(listener));
    }

    async fn may_hang(&self, part: usize) {
        if self.hanging_commits[part].load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

/// How long something takes before and after it happens.
#[derive(Debug, Default)]
pub(super) struct Delays(Mutex<[Duration; 2]>);

impl Delays {
    pub(super) fn set(&self, before: Duration, after: Duration) {
        *self.0.lock().expect("no panic") = [before, after];
    }

    async fn wait(&self, part: usize) {
        let delay = self.0.lock().expect("no panic")[part];
        tokio::time::sleep(delay).await;
    }
}

impl AuthStorage for FaultyStore {
    fn location(&self) -> String {
        self.memory.location()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        match self.load_now() {
            Some(Err(error)) => Box::pin(async { Err(error) }),
            _ => self.memory.load(),
        }
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        if self.is_unreadable.load(Ordering::SeqCst) {
            return Some(Err(Error::new(ErrorKind::StoreUnavailable, "unreadable")));
        }
        self.memory.load_now()
    }

    fn stamp(&self) -> Option<Stamp> {
        self.memory.stamp().filter(|_| !self.is_unstamped.load(Ordering::SeqCst))
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            self.commit_takes.wait(0).await;
            self.may_hang(0).await;
            take_failure(&self.failing_commits)?;
            let swap = self.memory.commit(expected, record).await;
            take_failure(&self.failing_syncs)?;
            self.may_hang(1).await;
            self.commit_takes.wait(1).await;
            swap
        })
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        self.memory.delete(expected)
    }

    fn ready(&self, size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(async move {
            self.ready_takes.wait(0).await;
            let ready = self.memory.ready(size).await;
            self.ready_takes.wait(1).await;
            ready
        })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        self.locks_tried.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            let lock = self.memory.try_lock().await?;
            Ok(lock.map(|lock| {
                self.locks_taken.fetch_add(1, Ordering::SeqCst);
                *self.holder.lock().expect("no panic") = Some(lock);
                Box::new(FaultyLock {
                    store: self.memory.clone(),
                    held: Arc::clone(&self.holder),
                    is_lost: Arc::clone(&self.lock_is_lost),
                    hears_notes: Arc::clone(&self.hears_notes),
                    fails: Arc::clone(&self.failing_notes),
                }) as Box<dyn RefreshLock>
            }))
        })
    }

    fn ledger(&self) -> Ledger {
        self.memory.ledger()
    }
}

fn take_failure(left: &AtomicUsize) -> Result<()> {
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    match taken {
        Ok(_) => Err(Error::new(ErrorKind::StoreUnavailable, "disk full")),
        Err(_) => Ok(()),
    }
}

/// A lock that can be taken away.
#[derive(Debug)]
struct FaultyLock {
    store: EphemeralStorage,
    held: Held,
    is_lost: Arc<AtomicBool>,
    hears_notes: Arc<Listener>,
    fails: Arc<AtomicBool>,
}

impl RefreshLock for FaultyLock {
    fn check(&self) -> Result<()> {
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::StoreUnavailable, "the lock is gone"));
        }
        Ok(())
    }

    fn ledger(&self) -> Ledger {
        self.store.ledger()
    }

    fn set_ledger(&self, ledger: &Ledger) -> Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::StoreReadOnly, "read-only"));
        }
        if let Some(listener) = &mut *self.hears_notes.0.lock().expect("no panic") {
            listener(ledger);
        }
        match &*self.held.lock().expect("no panic") {
            Some(lock) => lock.set_ledger(ledger),
            // The dead write nothing.
            None => Ok(()),
        }
    }
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        drop(self.held.lock().expect("no panic").take());
    }
}

/// An issuer of single-use refresh tokens.
pub(super) struct Issuer {
    machine: Arc<Machine>,
    /// Whether its replies say what time it is.
    pub(super) is_dated: AtomicBool,
    pub(super) revocation_takes: Delays,
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
    /// What the next requests come to, in the place of what they should.
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
pub(super) enum Claims {
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

#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
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
    /// The token is not spent, but nobody can tell.
    Unanswered,
    /// A new access token, and the refresh token stays.
    Unrotated,
    /// The request never arrives, and nothing ever comes back.
    Swallowed,
}

impl Issuer {
    fn new(machine: Arc<Machine>) -> Self {
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
    pub(super) fn login(&self, account: &str) -> AuthDotJson {
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
    pub(super) fn rotate(&self, record: &AuthDotJson) -> AuthDotJson {
        let mut record = record.clone();
        let tokens = record.tokens.as_mut().expect("tokens");
        let mut state = self.state.lock().expect("no panic");
        let grant = self.grant(&mut state, tokens.refresh_token.expose()).expect("a live token");
        tokens.access_token = grant.access_token.expect("minted");
        tokens.refresh_token = grant.refresh_token.expect("minted");
        record.last_refresh = Some(self.now());
        record
    }

    pub(super) fn fail_with(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().expect("no panic").faults.extend(faults);
    }

    /// How often a token was presented, and how often one was granted.
    pub(super) fn requests(&self) -> (usize, usize) {
        let state = self.state.lock().expect("no panic");
        (state.presented.len(), state.granted)
    }

    /// From now on a spent token is granted another successor, as within a grace window.
    pub(super) fn grant_again(&self) {
        self.state.lock().expect("no panic").grants_again = true;
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        self.state.lock().expect("no panic").latency = latency;
    }

    /// Access tokens live for so many seconds from now on.
    pub(super) fn set_life(&self, life: i64) {
        self.state.lock().expect("no panic").life = life;
    }

    /// Access tokens say this of their times from now on.
    pub(super) fn set_claims(&self, claims: Claims) {
        self.state.lock().expect("no panic").claims = claims;
    }

    /// The timeouts that requests were given.
    pub(super) fn timeouts(&self) -> Vec<Duration> {
        self.state.lock().expect("no panic").timeouts.clone()
    }

    /// When requests arrived.
    pub(super) fn arrivals(&self) -> Vec<Duration> {
        self.state.lock().expect("no panic").arrivals.clone()
    }

    /// The OAuth clients that the requests named.
    pub(super) fn clients(&self) -> Vec<Option<String>> {
        self.state.lock().expect("no panic").clients.clone()
    }

    fn note_client(&self, token: StoredToken<'_>) {
        let client = token.client_id.map(str::to_owned);
        self.state.lock().expect("no panic").clients.push(client);
    }

    pub(super) fn is_live(&self, token: &str) -> bool {
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
        let no_answer = || NoAnswer { detail: "a fault".to_owned(), retry_after: None };
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
