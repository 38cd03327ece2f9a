//! Snapshots of a login, which requests are sent with.

use chrono::{DateTime, Utc};
use codex_auth_sdk::{CodexAuth, Secret};
use napi_derive::napi;

use crate::failure::{Outcome, outcome};

/// The native half of `CodexAuth`.
#[napi]
#[derive(Debug)]
pub struct NativeCodexAuth(pub(crate) CodexAuth);

/// The properties of a snapshot. Times are in milliseconds since 1970.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeFields {
    pub mode: &'static str,
    pub access_token: Option<String>,
    pub account_id: Option<String>,
    pub user_id: Option<String>,
    pub email: Option<String>,
    pub plan_type: Option<String>,
    pub expires_at: Option<f64>,
    pub last_refresh: Option<f64>,
    pub is_fedramp: bool,
    pub base_url: Option<&'static str>,
}

/// A header of a request.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeHeader {
    pub name: &'static str,
    pub value: String,
}

#[expect(clippy::use_self, reason = "the macro takes signatures out of the impl")]
#[napi]
impl NativeCodexAuth {
    /// Returns all properties in one call, since each call has a cost.
    #[napi]
    pub fn fields(&self) -> NativeFields {
        let auth = &self.0;
        NativeFields {
            mode: auth.mode().as_str(),
            access_token: auth.access_token().map(text),
            account_id: auth.account_id().map(str::to_owned),
            user_id: auth.user_id().map(str::to_owned),
            email: auth.email().map(str::to_owned),
            plan_type: auth.plan_type().map(str::to_owned),
            expires_at: auth.expires_at().map(epoch_milliseconds),
            last_refresh: auth.last_refresh().map(epoch_milliseconds),
            is_fedramp: auth.is_fedramp(),
            base_url: auth.base_url(),
        }
    }

    /// Returns the headers that authorize a request.
    #[napi]
    pub fn headers(&self) -> Outcome<Vec<NativeHeader>> {
        outcome(self.0.headers().map(|headers| {
            headers.iter().map(|(name, value)| NativeHeader { name, value: text(value) }).collect()
        }))
    }

    /// Returns whether both objects hold one snapshot.
    #[napi]
    pub fn is_same(&self, other: &NativeCodexAuth) -> bool {
        self.0 == other.0
    }
}

fn text(secret: &Secret) -> String {
    secret.expose().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "a Date of JavaScript is a double as well")]
pub(crate) fn epoch_milliseconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64
}
