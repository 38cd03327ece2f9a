//! Ways in which the token endpoint fails when told to.

use chrono::{TimeDelta, Utc};
use hyper::header::RETRY_AFTER;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reply::{self, Dropped, Reply};

/// One entry of the fault queue. A request takes the first entry that matches it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// Redeem the token first, so that only the reply is lost.
    #[serde(default)]
    pub(super) spend: bool,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    forever: bool,
    /// Only for this refresh token (`a0`); any token without it.
    #[serde(default)]
    token: Option<String>,
    /// For `status` (default 500) and `redirect` (default 307).
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    shape: ErrorShape,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    retry_after: Option<RetryAfter>,
    /// For `redirect`: where to; this realm's `/oauth/stolen` without it.
    #[serde(default)]
    to: Option<String>,
    /// For `huge`.
    #[serde(default = "fifty_megabytes")]
    bytes: usize,
    /// For `slow`.
    #[serde(default = "ten")]
    every_ms: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultKind {
    /// Ends the connection without a byte.
    Drop,
    Status,
    Truncated,
    NotJson,
    Empty,
    Huge,
    WrongType,
    Redirect,
    Slow,
}

/// An error reply: status, code and the shape the code comes in.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorReply {
    #[serde(default = "unauthorized")]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) shape: ErrorShape,
    /// Sent as it is instead of any shape.
    #[serde(default)]
    pub(super) body: Option<String>,
    #[serde(default)]
    pub(super) retry_after: Option<RetryAfter>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ErrorShape {
    /// `{"error":{"code":…,"message":…}}`, as the real service answers.
    #[default]
    Object,
    /// `{"error":…,"error_description":…}`, as RFC 6749 says.
    Oauth,
    /// `{"code":…}`.
    TopLevel,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RetryAfter {
    Seconds(u64),
    /// An HTTP date that many seconds from now.
    DateIn(i64),
    /// Sent as it is.
    Text(String),
}

/// Takes the first fault of the queue that is meant for this token.
pub(super) fn take(queue: &mut Vec<Fault>, token: &str) -> Option<Fault> {
    let meant = |fault: &Fault| fault.token.as_deref().is_none_or(|label| label == token);
    let place = queue.iter().position(meant)?;
    let fault = queue[place].clone();
    if !fault.forever {
        queue[place].times = fault.times.saturating_sub(1);
    }
    queue.retain(|fault| fault.forever || fault.times > 0);
    Some(fault)
}

impl Fault {
    /// Whether the client learns what became of its token.
    pub(super) fn is_clear(&self) -> bool {
        match self.kind {
            FaultKind::Status => {
                let status = self.error().status;
                status < 500 || status == 503
            }
            FaultKind::Redirect => true,
            _ => false,
        }
    }

    /// The reply; `honest` is the body that a client would have had without the fault.
    pub(super) fn reply(&self, honest: &Value, stolen_url: &str) -> Result<Reply, Dropped> {
        let honest = honest.to_string();
        let reply = match self.kind {
            FaultKind::Drop => return Err(Dropped),
            FaultKind::Status => self.error().reply(),
            FaultKind::Truncated => reply::truncated(&honest),
            FaultKind::NotJson => reply::text(200, "text/html", "<html>please wait</html>"),
            FaultKind::Empty => reply::text(200, "application/json", ""),
            FaultKind::Huge => reply::huge(self.bytes),
            FaultKind::WrongType => reply::json(200, &wrongly_typed()),
            FaultKind::Redirect => {
                let to = self.to.as_deref().unwrap_or(stolen_url);
                reply::redirect(self.status.unwrap_or(307), to)
            }
            FaultKind::Slow => reply::slow(honest, self.every_ms),
        };
        Ok(reply)
    }

    /// How the statistics count it: `drop`, `status_503`, …
    pub(super) fn name(&self) -> String {
        let kind = match self.kind {
            FaultKind::Drop => "drop",
            FaultKind::Status => return format!("status_{}", self.error().status),
            FaultKind::Truncated => "truncated",
            FaultKind::NotJson => "not_json",
            FaultKind::Empty => "empty",
            FaultKind::Huge => "huge",
            FaultKind::WrongType => "wrong_type",
            FaultKind::Redirect => "redirect",
            FaultKind::Slow => "slow",
        };
        kind.to_owned()
    }

    fn error(&self) -> ErrorReply {
        ErrorReply {
            status: self.status.unwrap_or(500),
            code: self.code.clone(),
            shape: self.shape,
            body: self.body.clone(),
            retry_after: self.retry_after.clone(),
        }
    }
}

impl ErrorReply {
    /// What the real service says to a refresh token it does not take.
    pub(super) fn refusal(code: &str) -> Self {
        Self {
            status: unauthorized(),
            code: Some(code.to_owned()),
            shape: ErrorShape::Object,
            body: None,
            retry_after: None,
        }
    }

    pub(super) fn reply(&self) -> Reply {
        let reply = match &self.body {
            Some(body) => reply::text(self.status, "text/plain", body.clone()),
            None => reply::json(self.status, &self.shaped()),
        };
        match &self.retry_after {
            Some(wait) => reply::with_header(reply, RETRY_AFTER, &wait.text()),
            None => reply,
        }
    }

    fn shaped(&self) -> Value {
        let message = "The test issuer does not grant this request.";
        match (&self.code, self.shape) {
            (None, _) => json!({ "error": { "message": message } }),
            (Some(code), ErrorShape::Object) => {
                json!({ "error": { "code": code, "message": message, "type": "invalid_request_error" } })
            }
            (Some(code), ErrorShape::Oauth) => {
                json!({ "error": code, "error_description": message })
            }
            (Some(code), ErrorShape::TopLevel) => json!({ "code": code, "message": message }),
        }
    }
}

impl RetryAfter {
    fn text(&self) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::DateIn(seconds) => (Utc::now() + TimeDelta::seconds(*seconds))
                .format("%a, %d %b %Y %H:%M:%S GMT")
                .to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn wrongly_typed() -> Value {
    json!({ "access_token": 42, "refresh_token": ["no", "text"], "id_token": {} })
}

fn once() -> u32 {
    1
}

fn fifty_megabytes() -> usize {
    50 * 1024 * 1024
}

fn ten() -> u64 {
    10
}

fn unauthorized() -> u16 {
    401
}
