//! What the agent answers.

use chrono::{DateTime, Utc};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;

use super::gate::Refused;
use crate::error::{Error, ErrorKind};
use crate::refresh::GiveUpReason;
use crate::snapshot::CodexAuth;
use crate::storage::agent::message::{Details, Grant, Refusal};

/// The version of the messages. It counts up when a field changes its meaning or goes.
pub(super) const FORM: u32 = 1;

/// The answer to a request.
pub(super) type Reply = Response<Full<Bytes>>;

/// The answer to a request for a token.
#[derive(Debug)]
pub(super) enum Answer {
    Granted(Box<Grant>),
    /// There is no token, in the state of the login that is named.
    Refused(Error, Option<String>),
    /// There is no other token for the login of a rejected one.
    GivenUp(GiveUpReason),
}

impl Answer {
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::Granted(grant) => json(StatusCode::OK, grant),
            Self::Refused(error, generation) => {
                let (version, generation) = (FORM, generation.clone());
                let refusal = Refusal { version, error: details(error), generation };
                let mut reply = json(status(error.kind()), &refusal);
                if let Some(wait) = error.retry_after() {
                    reply.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
                }
                reply
            }
            Self::GivenUp(reason) => refuse(
                StatusCode::CONFLICT,
                reason.as_str(),
                "there is no other access token for the login of the rejected one",
            ),
        }
    }
}

/// Returns the grant of the login in `auth`; none if its credential does not end, or is not a bearer
/// token.
pub(super) fn grant(
    auth: &CodexAuth,
    server_time: Option<DateTime<Utc>>,
    generation: String,
) -> Option<Grant> {
    auth.tokens()?;
    Some(Grant {
        version: FORM,
        access_token: auth.access_token()?.clone(),
        expires_at: auth.expires_at(),
        mode: auth.mode().as_str().to_owned(),
        login_id: auth.identity().login_id(),
        user_id: auth.user_id().map(str::to_owned),
        account_id: auth.account_id().map(str::to_owned),
        plan_type: auth.plan_type().map(str::to_owned),
        is_fedramp: auth.is_fedramp(),
        last_refresh: auth.last_refresh(),
        server_time,
        generation,
    })
}

fn details(error: &Error) -> Details {
    Details {
        code: error.code().to_owned(),
        message: error.to_string(),
        reason: error.reason().map(str::to_owned),
        is_transient: error.is_transient(),
        retry_after_seconds: error.retry_after().map(|wait| wait.as_secs_f64()),
    }
}

/// Returns a reply without the service that was asked for.
pub(super) fn refuse(status: StatusCode, code: &str, message: impl Into<String>) -> Reply {
    let error = Details {
        code: code.to_owned(),
        message: message.into(),
        reason: None,
        is_transient: false,
        retry_after_seconds: None,
    };
    json(status, &Refusal { version: FORM, error, generation: None })
}

/// Returns the reply to a program that may not use the agent. Its connection ends.
pub(super) fn turn_away(refused: &Refused) -> Reply {
    let mut reply = refuse(refused.status(), "not_allowed", refused.to_string());
    reply.headers_mut().insert(CONNECTION, http::HeaderValue::from_static("close"));
    reply
}

pub(super) fn json(status: StatusCode, object: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(object).expect("a message is always valid JSON");
    reply(status, "application/json", body)
}

pub(super) fn reply(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Reply {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header(CACHE_CONTROL, "no-store")
        .body(Full::new(body.into()))
        .expect("the headers are valid")
}

const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::LoginRequired => StatusCode::NOT_FOUND,
        ErrorKind::UnsupportedMode => StatusCode::FORBIDDEN,
        kind if kind.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    }
}
