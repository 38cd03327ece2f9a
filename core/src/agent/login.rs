//! A login that the agent hands out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::{Answer, grant};
use crate::error::{Error, ErrorKind, Result, transient};
use crate::manager::AuthManager;
use crate::refresh::{GiveUpReason, UnauthorizedRecoveryDecision};
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::state::Stats;
use crate::storage::agent::message::Report;
use crate::upkeep::{FollowStore, KeepFresh};

/// The longest time that a client waits for a refresh. The refresh goes on, and the next request gets
/// its token.
const LONGEST_REFRESH: Duration = Duration::from_secs(25);

/// How long a refusal is the answer to more reports of its token: they cause no flight each.
const REFUSAL_HOLDS: Duration = Duration::from_secs(1);

/// A login that is kept fresh, and handed out without its refresh token.
#[derive(Debug)]
pub(super) struct Login {
    manager: AuthManager,
    /// Random, so that no generation of an agent is one of an earlier agent.
    start: Fingerprint,
    seen: Mutex<Seen>,
    changes: watch::Sender<()>,
    refusal: Mutex<Option<Refusal>>,
    _upkeep: (KeepFresh, FollowStore),
}

/// Why there was no other token than a rejected one, at some time.
#[derive(Debug)]
struct Refusal {
    token: Fingerprint,
    at: Instant,
    why: std::result::Result<GiveUpReason, (Error, Option<String>)>,
}

impl Refusal {
    fn answer(&self) -> Answer {
        match &self.why {
            Ok(reason) => Answer::GivenUp(*reason),
            Err((error, generation)) => Answer::Refused(error.clone(), generation.clone()),
        }
    }
}

/// The snapshot when it was last looked at, and how many there were before.
#[derive(Debug, Default)]
struct Seen {
    auth: Option<CodexAuth>,
    number: u64,
}

impl Login {
    /// Keeps the login of `manager` fresh from now on.
    pub(super) fn new(manager: AuthManager) -> Result<Self> {
        let mut start = [0; 16];
        SystemRandom::new().fill(&mut start).map_err(|_| {
            Error::new(ErrorKind::StoreUnavailable, "the system has no random numbers")
        })?;
        Ok(Self {
            _upkeep: (manager.keep_fresh(), manager.follow_store()),
            seen: Mutex::new(Seen { auth: manager.auth(), number: 0 }),
            manager,
            start: Fingerprint::from_bytes(start),
            changes: watch::Sender::new(()),
            refusal: Mutex::new(None),
        })
    }

    /// Wakes the clients that wait for a change, until the future is dropped.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut events = self.manager.subscribe();
        while events.next().await.is_some() {
            self.changes.send_replace(());
        }
    }

    /// Returns the snapshot in memory, and the name of this state of the login.
    pub(super) fn now(&self) -> (Option<CodexAuth>, String) {
        let auth = self.manager.auth();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.auth != auth {
            *seen = Seen { auth: auth.clone(), number: seen.number + 1 };
        }
        (auth, format!("{}-{}", self.start, seen.number))
    }

    /// Returns what the login's manager has counted.
    pub(super) fn stats(&self) -> Stats {
        self.manager.stats()
    }

    /// Returns whether there is an access token to hand out, expired or not.
    pub(super) fn is_handed_out(&self) -> bool {
        let (auth, generation) = self.now();
        auth.is_some_and(|auth| grant(&auth, None, generation).is_some())
    }

    /// Returns whether tokens could not be saved yet.
    pub(super) fn pending_save(&self) -> bool {
        self.manager.pending_save()
    }

    /// Waits until the login is no longer in the state that `generation` names, for `longest` at most.
    pub(super) async fn changes_within(&self, longest: Duration, generation: &str) {
        let mut changes = self.changes.subscribe();
        let changed =
            async { while self.now().1 == generation && changes.changed().await.is_ok() {} };
        timeout(longest, changed).await.unwrap_or_default();
    }

    /// Returns the login with an access token that has not ended.
    pub(super) async fn token(&self) -> Answer {
        match self.within_reason(self.manager.fresh_auth()).await {
            Ok(_) => self.granted(),
            Err(error) => self.refused(&error),
        }
    }

    /// Returns a login with another access token than that of `report`, or why there is none.
    pub(super) async fn replacement(&self, report: &Report) -> Answer {
        let fresh = match self.within_reason(self.manager.fresh_auth()).await {
            Ok(fresh) => fresh,
            Err(error) => return self.refused(&error),
        };
        let Some(auth) = fresh else {
            let is_hidden = self.manager.hides_login();
            let reason =
                if is_hidden { GiveUpReason::IdentityMismatch } else { GiveUpReason::LoggedOut };
            return Answer::GivenUp(reason);
        };
        if auth.access_fingerprint() != Some(report.token) {
            return self.granted_to(report);
        }
        if let Err(reason) = check(report, auth.identity().login_id(), auth.account_id()) {
            return Answer::GivenUp(reason);
        }
        if let Some(refusal) = self.recent_refusal(report.token) {
            return refusal;
        }
        let answer = self.recovered(&auth, report).await;
        self.note_refusal(report.token, &answer);
        answer
    }

    async fn recovered(&self, auth: &CodexAuth, report: &Report) -> Answer {
        let recovery = self.manager.unauthorized_recovery();
        let decision = self.manager.recover_from_unauthorized(auth, &recovery);
        match self.within_reason(decision).await {
            Ok(UnauthorizedRecoveryDecision::Retry) => self.granted_to(report),
            Ok(UnauthorizedRecoveryDecision::GiveUp(reason)) => Answer::GivenUp(reason),
            Err(error) => self.refused(&error),
        }
    }

    /// Returns the login, if `report` is about this login in this workspace.
    fn granted_to(&self, report: &Report) -> Answer {
        let grant = match self.granted() {
            Answer::Granted(grant) => grant,
            refused => return refused,
        };
        match check(report, grant.login_id, grant.account_id.as_deref()) {
            Ok(()) => Answer::Granted(grant),
            Err(reason) => Answer::GivenUp(reason),
        }
    }

    /// Returns why there was no other token than `token` a moment ago, if that was asked.
    fn recent_refusal(&self, token: Fingerprint) -> Option<Answer> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = refusal.as_ref().filter(|refusal| refusal.token == token)?;
        (refusal.at.elapsed() < REFUSAL_HOLDS).then(|| refusal.answer())
    }

    /// Notes that `answer` was given for `token`, if that is a refusal.
    fn note_refusal(&self, token: Fingerprint, answer: &Answer) {
        let why = match answer {
            Answer::Granted(_) => return,
            Answer::Refused(error, generation) => Err((error.clone(), generation.clone())),
            Answer::GivenUp(reason) => Ok(*reason),
        };
        let refusal = Refusal { token, at: Instant::now(), why };
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    fn granted(&self) -> Answer {
        let (auth, generation) = self.now();
        let Some(auth) = auth else {
            return Answer::Refused(self.no_login(), Some(generation));
        };
        match grant(&auth, self.manager.server_time(), generation.clone()) {
            Some(grant) => Answer::Granted(Box::new(grant)),
            None => Answer::Refused(not_served(&auth), Some(generation)),
        }
    }

    fn no_login(&self) -> Error {
        if self.manager.hides_login() {
            let message = "the login that is stored is not handed out: it is for another workspace than \
                           that of this agent, or its tokens name two users; see the agent's warning";
            return Error::new(ErrorKind::IdentityMismatch, message);
        }
        let message = "no login is stored; sign in where the agent runs: codex-auth-sdk login";
        Error::new(ErrorKind::LoginRequired, message)
    }

    fn refused(&self, error: &Error) -> Answer {
        Answer::Refused(error.clone(), Some(self.now().1))
    }

    async fn within_reason<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(LONGEST_REFRESH, work).await.unwrap_or_else(|_| {
            Err(transient("the login is being refreshed, which takes long; try again"))
        })
    }
}

/// Fails unless `report` is about the login and the workspace that these ids name.
fn check(
    report: &Report,
    login_id: Option<Fingerprint>,
    account_id: Option<&str>,
) -> std::result::Result<(), GiveUpReason> {
    let (reported, own) = report.login_id.zip(login_id).ok_or(GiveUpReason::MissingIdentity)?;
    if reported != own || report.account_id.as_deref() != account_id {
        return Err(GiveUpReason::IdentityMismatch);
    }
    Ok(())
}

/// Returns the error about a login that does not end.
fn not_served(auth: &CodexAuth) -> Error {
    let mode = auth.mode().as_str();
    let message = format!("an agent hands out ChatGPT logins only, and this one is {mode}");
    Error::new(ErrorKind::UnsupportedMode, message)
}
