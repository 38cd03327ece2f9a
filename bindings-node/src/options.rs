//! Converts the options of managers from JavaScript values to the core's types.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use codex_auth_sdk::storage::AuthStorage;
use codex_auth_sdk::{AuthManager, AuthManagerBuilder, Result, Secret};
use napi::bindgen_prelude::{ClassInstance, Either};
use napi_derive::napi;

use crate::custom_store::NativeConnection;
use crate::storage::NativeEphemeralStorage;

/// A store object that replaces the option `store`.
pub(crate) type Storage<'env> =
    Either<ClassInstance<'env, NativeEphemeralStorage>, ClassInstance<'env, NativeConnection>>;

/// The options of a manager, by their JavaScript names.
#[napi(object, object_to_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
// It is not `Debug`: the store and the proxy may contain passwords, and the key is one.
pub struct NativeOptions {
    pub codex_home: Option<String>,
    pub store: Option<String>,
    pub login: Option<String>,
    pub store_key: Option<String>,
    pub refresh: Option<String>,
    pub account_id: Option<String>,
    pub refresh_window_ms: Option<f64>,
    pub winner_wait_ms: Option<f64>,
    pub refresh_deadline_ms: Option<f64>,
    pub request_timeout_ms: Option<f64>,
    pub lock_timeout_ms: Option<f64>,
    pub token_url: Option<String>,
    pub revoke_url: Option<String>,
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    pub originator: Option<String>,
    pub user_agent: Option<String>,
    pub proxy: Option<String>,
    pub allowed_origins: Option<Vec<String>>,
    pub token_encoding: Option<String>,
    pub enable_codex_api_key_env: Option<bool>,
}

impl NativeOptions {
    /// Returns a builder with the options. `storage`, if given, replaces the option `store`.
    pub(crate) fn builder(self, storage: Option<Storage<'_>>) -> Result<AuthManagerBuilder> {
        let mut builder = AuthManager::builder();
        macro_rules! set {
            ($($name:ident: $value:expr;)*) => {$(
                if let Some(value) = $value {
                    builder = builder.$name(value);
                }
            )*};
        }
        set! {
            codex_home: self.codex_home.map(PathBuf::from);
            store: self.store.as_deref().map(str::parse).transpose()?;
            login: self.login;
            store_key: self.store_key.map(Secret::new);
            storage: storage.map(into_storage);
            refresh: self.refresh.as_deref().map(str::parse).transpose()?;
            account_id: self.account_id;
            refresh_window: milliseconds("refreshWindowMs", self.refresh_window_ms)?;
            winner_wait: milliseconds("winnerWaitMs", self.winner_wait_ms)?;
            refresh_deadline: milliseconds("refreshDeadlineMs", self.refresh_deadline_ms)?;
            request_timeout: milliseconds("requestTimeoutMs", self.request_timeout_ms)?;
            lock_timeout: milliseconds("lockTimeoutMs", self.lock_timeout_ms)?;
            token_url: self.token_url;
            revoke_url: self.revoke_url;
            issuer: self.issuer;
            client_id: self.client_id;
            originator: self.originator;
            user_agent: self.user_agent;
            proxy: self.proxy;
            allowed_origins: self.allowed_origins;
            enable_codex_api_key_env: self.enable_codex_api_key_env;
            token_encoding: self.token_encoding.as_deref().map(str::parse).transpose()?;
        }
        Ok(builder)
    }
}

fn into_storage(storage: Storage<'_>) -> Arc<dyn AuthStorage> {
    match storage {
        Either::A(ephemeral) => Arc::new(ephemeral.0.clone()),
        Either::B(connection) => Arc::clone(&connection.0) as Arc<dyn AuthStorage>,
    }
}

/// Converts a number of milliseconds; none gives none.
pub(crate) fn milliseconds(option: &str, value: Option<f64>) -> Result<Option<Duration>> {
    value.map(|value| codex_auth_sdk::bindings::milliseconds(option, value)).transpose()
}
