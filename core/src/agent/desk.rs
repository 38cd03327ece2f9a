//! Answers the requests of programs that may use the agent.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::time::timeout;
use url::form_urlencoded;

use super::answer::{FORM, Reply, json, refuse, reply};
use super::login::Login;
use super::metrics;
use crate::snapshot::CodexAuth;
use crate::storage::agent::message::{REJECTED, Report, TOKEN};

/// The path of what an agent says of itself.
const STATUS: &str = "/v1/status";

/// The path at which a scraper of Prometheus looks by default.
const METRICS: &str = "/metrics";

/// The largest body of a request, in bytes.
const LARGEST_BODY: usize = 4 * 1024;

/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest time that a client waits for a change.
const LONGEST_POLL: Duration = Duration::from_secs(25);

/// The logins of an agent, by their names. The first one is handed out where none is asked for.
#[derive(Debug)]
pub(super) struct Desk {
    logins: Vec<(String, Arc<Login>)>,
}

/// What an agent says of itself.
#[derive(Debug, Serialize)]
struct Status<'a> {
    version: u32,
    library: &'static str,
    logins: Vec<LoginStatus<'a>>,
}

/// What an agent says of a login.
#[derive(Debug, Serialize)]
struct LoginStatus<'a> {
    name: &'a str,
    generation: String,
    mode: Option<&'static str>,
    user_id: Option<String>,
    account_id: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

impl Desk {
    /// `logins` has at least one.
    pub(super) const fn new(logins: Vec<(String, Arc<Login>)>) -> Self {
        Self { logins }
    }

    /// Waits for the change that `request` asks for, if it asks for one: a long poll.
    pub(super) async fn wait_for_change(&self, request: &Request<Incoming>) {
        let after = value_in(request.uri().query(), "after");
        if let Some(generation) = after
            && request.method() == Method::GET
            && request.uri().path() == TOKEN
            && let Some(login) = self.login_of(request)
        {
            login.changes_within(LONGEST_POLL, &generation).await;
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Reply {
        match (request.method(), request.uri().path()) {
            (&Method::GET, STATUS) => json(StatusCode::OK, &self.status()),
            (&Method::GET, METRICS) => reply(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics()),
            (&Method::GET, TOKEN) => match self.login_of(&request) {
                Some(login) => login.token().await.reply(),
                None => self.unknown_login(),
            },
            (&Method::POST, REJECTED) => match self.login_of(&request) {
                Some(login) => replace(login, request).await,
                None => self.unknown_login(),
            },
            (_, STATUS | METRICS | TOKEN | REJECTED) => {
                refuse(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "use another method")
            }
            _ => refuse(StatusCode::NOT_FOUND, "invalid_request", "there is no such path"),
        }
    }

    /// Returns the login that `request` is about; none if there is none of the name in it.
    fn login_of(&self, request: &Request<Incoming>) -> Option<&Login> {
        let name = value_in(request.uri().query(), "login");
        let is_meant = |(own, _): &&(String, _)| name.as_ref().is_none_or(|name| name == own);
        self.logins.iter().find(is_meant).map(|(_, login)| &**login)
    }

    fn unknown_login(&self) -> Reply {
        let names: Vec<_> = self.logins.iter().map(|(name, _)| &**name).collect();
        let message = format!("this agent has no such login; it has: {}", names.join(", "));
        refuse(StatusCode::NOT_FOUND, "unknown_login", message)
    }

    fn metrics(&self) -> String {
        metrics::text(self.logins.iter().map(|(name, login)| (&**name, &**login)))
    }

    fn status(&self) -> Status<'_> {
        let logins = self.logins.iter().map(|(name, login)| LoginStatus::of(name, login));
        Status { version: FORM, library: env!("CARGO_PKG_VERSION"), logins: logins.collect() }
    }
}

impl<'a> LoginStatus<'a> {
    fn of(name: &'a str, login: &Login) -> Self {
        let (auth, generation) = login.now();
        let auth = auth.as_ref();
        Self {
            name,
            generation,
            mode: auth.map(|auth| auth.mode().as_str()),
            user_id: auth.and_then(CodexAuth::user_id).map(str::to_owned),
            account_id: auth.and_then(CodexAuth::account_id).map(str::to_owned),
            expires_at: auth.and_then(CodexAuth::expires_at),
        }
    }
}

/// Answers the report of a rejected token of `login`.
async fn replace(login: &Login, request: Request<Incoming>) -> Reply {
    let body = Limited::new(request.into_body(), LARGEST_BODY).collect();
    let Ok(Ok(body)) = timeout(PATIENCE, body).await else {
        let message = "the body is too large, or does not come";
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", message);
    };
    match serde_json::from_slice::<Report>(&body.to_bytes()) {
        Ok(report) => login.replacement(&report).await.reply(),
        Err(_) => {
            let message = "the body is not a report of a rejected token, as JSON";
            refuse(StatusCode::BAD_REQUEST, "invalid_request", message)
        }
    }
}

/// Returns the value of the parameter `name` in a query.
fn value_in(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
