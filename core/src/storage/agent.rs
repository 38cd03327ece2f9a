//! The login of an agent: another program has its refresh token, and hands out access tokens.

mod address;
mod bearer_file;
mod connection;
#[cfg(unix)]
pub(crate) mod folder_trust;
pub(crate) mod message;
mod nearness;
mod news;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use http::StatusCode;

pub use self::address::AgentAddress;
#[cfg(all(unix, feature = "cli"))]
pub(crate) use self::address::{Place, default_socket, is_login_name};
use self::connection::{Connection, Request, Response};
use self::message::{FRESH_TOKEN_REJECTED, Grant, NOT_REFRESHABLE, Refusal, Report};
use self::news::News;
use super::{AuthStorage, Loaded, Readiness, RefreshLock, Renewer, Stamp, Swap, Version};
use crate::auth_dot_json::{AuthDotJson, TokenData};
use crate::claims::IdTokenClaims;
use crate::clock::Skew;
use crate::environment::{BoxFuture, Environment, Moment};
use crate::error::{Error, ErrorKind, Result, transient};
use crate::ledger::Ledger;
use crate::secret::Secret;

/// A store whose login is at an agent. It cannot be changed: the agent refreshes the login.
#[derive(Debug)]
pub(crate) struct AgentStorage {
    connection: Connection,
    login: Option<String>,
    news: Arc<News>,
    /// Names the state in which the login was read last.
    seen: ArcSwapOption<String>,
    environment: Environment,
    /// What the agent has told of time.
    ledger: ArcSwap<Ledger>,
}

impl AgentStorage {
    /// Returns the store at `address`. Nothing is sent before it is used.
    ///
    /// # Errors
    ///
    /// `invalid_option` if an environment variable that names the place makes no sense.
    pub(crate) fn new(address: &AgentAddress, environment: Environment) -> Result<Self> {
        let (place, login) = (address.place()?, address.login());
        Ok(Self {
            news: News::shared(&place, login, &environment),
            connection: Connection::new(place, environment.clone()),
            login: login.map(str::to_owned),
            seen: ArcSwapOption::empty(),
            environment,
            ledger: ArcSwap::default(),
        })
    }

    async fn read(&self) -> Result<Loaded> {
        let path = self.target(message::TOKEN);
        let sent = self.environment.moment();
        let response = self.connection.answer(&Request::Get { path }).await?;
        self.seen.store(message::generation(&response.body).map(Arc::new));
        if response.status == StatusCode::OK {
            let grant = self.granted(&response)?;
            self.learn_time(grant.server_time, &sent);
            let version = Version::named(&grant.generation);
            return Ok(Loaded::new(Some(Arc::new(record(grant))), version));
        }
        match self.refusal(&response)?.error.into_error() {
            error if error.kind() == ErrorKind::LoginRequired => Ok(Loaded::nothing()),
            error => Err(error),
        }
    }

    /// Tells the agent that a server has rejected the access token of `record`, and waits until the
    /// agent has another one, or knows that there is none.
    async fn report(&self, record: &AuthDotJson) -> Result<()> {
        let Some(tokens) = &record.tokens else { return Ok(()) };
        let login_id = tokens.login_owner_id().and_then(|id| id.parse().ok());
        let (token, account_id) = (tokens.access_token.fingerprint(), tokens.account_id.clone());
        let report = Report { token, login_id, account_id };
        let body = serde_json::to_vec(&report).expect("a message is always valid JSON");
        let path = self.target(message::REJECTED);
        let response = self.connection.answer(&Request::Post { path, body }).await?;
        match response.status {
            StatusCode::OK => Ok(()),
            StatusCode::CONFLICT => self.given_up(&self.refusal(&response)?),
            _ => Err(self.refusal(&response)?.error.into_error()),
        }
    }

    /// Fails if only the agent knows why the request is given up: else the next read of the store
    /// shows it.
    fn given_up(&self, refusal: &Refusal) -> Result<()> {
        let of_agent = [FRESH_TOKEN_REJECTED, NOT_REFRESHABLE];
        let Some(reason) = of_agent.into_iter().find(|reason| refusal.error.code == *reason) else {
            return Ok(());
        };
        let location = self.location();
        let message = format!("{location} does not replace the rejected access token; see its log");
        Err(transient(message).with_reason(reason))
    }

    fn target(&self, path: &str) -> String {
        message::target(path, &[("login", self.login.as_deref())])
    }

    fn granted(&self, response: &Response) -> Result<Grant> {
        serde_json::from_slice(&response.body).map_err(|_| self.odd(response.status))
    }

    /// Notes how wrong the clock of this machine is, if an answer to a request that was sent at `sent`
    /// tells the server's time. The agent may be on another machine than a container that asks it.
    fn learn_time(&self, server_time: Option<DateTime<Utc>>, sent: &Moment) {
        if let Some(time) = server_time {
            let mut ledger = Ledger::default();
            ledger.measure(Skew::measured(time, sent, &self.environment.moment()));
            self.ledger.store(Arc::new(ledger));
        }
    }

    fn refusal(&self, response: &Response) -> Result<Refusal> {
        serde_json::from_slice(&response.body).map_err(|_| self.odd(response.status))
    }

    fn odd(&self, status: StatusCode) -> Error {
        let message = format!(
            "{} gives an answer with status {} that no agent gives; see which program listens there",
            self.location(),
            status.as_u16()
        );
        Error::new(ErrorKind::StoreUnavailable, message)
    }

    fn refuse<T>(&self) -> Result<T> {
        let message = format!(
            "{} refreshes the login, and only there can it be changed: run codex-auth-sdk there",
            self.location()
        );
        Err(Error::new(ErrorKind::NotSupportedByStore, message))
    }
}

/// Returns the record of a login without its refresh token.
fn record(grant: Grant) -> AuthDotJson {
    let claims = IdTokenClaims {
        account_id: grant.account_id.clone(),
        plan_type: grant.plan_type,
        chatgpt_user_id: grant.user_id,
        is_fedramp: grant.is_fedramp,
        ..IdTokenClaims::default()
    };
    let mut tokens = TokenData {
        id_token: Secret::new(claims.to_unsigned_token()),
        access_token: grant.access_token,
        account_id: grant.account_id,
        ..TokenData::default()
    };
    if let Some(id) = grant.login_id {
        tokens.set_login_owner_id(&id.to_string());
    }
    AuthDotJson {
        auth_mode: Some("chatgpt".to_owned()),
        tokens: Some(tokens),
        last_refresh: grant.last_refresh,
        ..AuthDotJson::default()
    }
}

impl Renewer for AgentStorage {
    fn renew<'a>(&'a self, rejected: &'a AuthDotJson) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.report(rejected))
    }
}

impl AuthStorage for AgentStorage {
    fn location(&self) -> String {
        format!("the agent at {}", self.connection.place())
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.read())
    }

    /// None while no agent tells of changes.
    fn stamp(&self) -> Option<Stamp> {
        self.news.generation().map(Stamp::of)
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let seen = self.seen.load_full();
            self.news.other_than(seen.as_deref().map(String::as_str)).await;
        })
    }

    fn commit<'a>(&'a self, _: &'a Version, _: &'a AuthDotJson) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async { self.refuse() })
    }

    fn delete<'a>(&'a self, _: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async { self.refuse() })
    }

    fn ready(&self, _: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(async { self.refuse() })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(async { self.refuse() })
    }

    fn ledger(&self) -> Ledger {
        Ledger::clone(&self.ledger.load())
    }

    fn renewer(&self) -> Option<&dyn Renewer> {
        Some(self)
    }
}
