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

use super::answer::{FORM, Reply, json, refuse};
use super::login::Login;
use crate::snapshot::CodexAuth;
use crate::storage::agent::message::{REJECTED, Report, TOKEN};

/// The name of the login that is handed out where none is asked for.
const DEFAULT_LOGIN: &str = "default";

/// The path of what an agent says of itself.
const STATUS: &str = "/v1/status";

/// The largest body of a request, in bytes.
const LARGEST_BODY: usize = 4 * 1024;

/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest time that a client waits for a change.
const LONGEST_POLL: Duration = Duration::from_secs(25);

/// The logins of an agent.
#[derive(Debug)]
pub(super) struct Desk {
    login: Arc<Login>,
}

/// What an agent says of itself.
#[derive(Debug, Serialize)]
struct Status {
    version: u32,
    library: &'static str,
    logins: [LoginStatus; 1],
}

/// What an agent says of a login.
#[derive(Debug, Serialize)]
struct LoginStatus {
    name: &'static str,
    generation: String,
    mode: Option<&'static str>,
    user_id: Option<String>,
    account_id: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

impl Desk {
    pub(super) const fn new(login: Arc<Login>) -> Self {
        Self { login }
    }

    /// Waits for the change that `request` asks for, if it asks for one: a long poll.
    pub(super) async fn wait_for_change(&self, request: &Request<Incoming>) {
        let after = value_in(request.uri().query(), "after");
        if let Some(generation) = after
            && request.method() == Method::GET
            && request.uri().path() == TOKEN
        {
            self.login.changes_within(LONGEST_POLL, &generation).await;
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let name = value_in(request.uri().query(), "login");
        let name = name.unwrap_or_else(|| DEFAULT_LOGIN.to_owned());
        match (request.method(), request.uri().path()) {
            (&Method::GET, STATUS) => json(StatusCode::OK, &self.status()),
            (&Method::GET, TOKEN) if name == DEFAULT_LOGIN => self.login.token().await.reply(),
            (&Method::POST, REJECTED) if name == DEFAULT_LOGIN => self.replace(request).await,
            (&Method::GET, TOKEN) | (&Method::POST, REJECTED) => {
                let message = format!("this agent has one login, and that is {DEFAULT_LOGIN}");
                refuse(StatusCode::NOT_FOUND, "unknown_login", message)
            }
            (_, STATUS | TOKEN | REJECTED) => {
                refuse(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "use another method")
            }
            _ => refuse(StatusCode::NOT_FOUND, "invalid_request", "there is no such path"),
        }
    }

    async fn replace(&self, request: Request<Incoming>) -> Reply {
        let body = Limited::new(request.into_body(), LARGEST_BODY).collect();
        let Ok(Ok(body)) = timeout(PATIENCE, body).await else {
            let message = "the body is too large, or does not come";
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", message);
        };
        match serde_json::from_slice::<Report>(&body.to_bytes()) {
            Ok(report) => self.login.replacement(&report).await.reply(),
            Err(_) => {
                let message = "the body is not a report of a rejected token, as JSON";
                refuse(StatusCode::BAD_REQUEST, "invalid_request", message)
            }
        }
    }

    fn status(&self) -> Status {
        let (auth, generation) = self.login.now();
        let auth = auth.as_ref();
        let login = LoginStatus {
            name: DEFAULT_LOGIN,
            generation,
            mode: auth.map(|auth| auth.mode().as_str()),
            user_id: auth.and_then(CodexAuth::user_id).map(str::to_owned),
            account_id: auth.and_then(CodexAuth::account_id).map(str::to_owned),
            expires_at: auth.and_then(CodexAuth::expires_at),
        };
        Status { version: FORM, library: env!("CARGO_PKG_VERSION"), logins: [login] }
    }
}

/// Returns the value of the parameter `name` in a query.
fn value_in(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
