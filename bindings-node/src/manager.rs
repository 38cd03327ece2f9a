//! The manager of a login.

use std::collections::HashMap;

use codex_auth_sdk::bindings::{self, Variables};
use codex_auth_sdk::{
    AuthManager, AuthManagerBuilder, LogoutOptions, LogoutOutcome, Secret, SyncOutcome,
};
use napi::Env;
use napi::bindgen_prelude::{Either, Result, Uint32ArraySlice, Unknown};
use napi_derive::napi;

use crate::authorization::NativeRequestAuthorization;
use crate::background::{NativeFollowStore, NativeKeepFresh};
use crate::events::{self, Deliver, NativeSubscription};
use crate::failure::{Outcome, outcome};
use crate::login::{NativeBrowserLogin, NativeDeviceLogin, NativeLoginOptions};
use crate::options::{NativeOptions, Storage, milliseconds};
use crate::promise::answer_or_promise;
use crate::recovery::NativeRecovery;
use crate::shared_word::shared_word;
use crate::snapshot::{self, NativeCodexAuth};
use crate::stats::NativeStats;
use crate::store_holder::NativeStoreHolder;

/// The native half of `AuthManager`. A method that may wait returns its answer, or a promise of it.
#[napi]
#[derive(Debug)]
pub struct NativeAuthManager(AuthManager);

/// The result of `sync_from_storage`.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeSync {
    pub kind: &'static str,
    pub changed: bool,
}

/// The result of `logout`.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeLogout {
    pub removed: bool,
    pub revoked: bool,
}

#[expect(clippy::use_self, reason = "the macro takes signatures out of the impl")]
#[napi]
impl NativeAuthManager {
    /// Creates a manager and reads its store once, without waiting. Its `variables` are those of the
    /// runtime's environment.
    #[napi(
        ts_args_type = "options: NativeOptions, storage: NativeEphemeralStorage | NativeConnection | null, variables: Record<string, string>"
    )]
    pub fn open_now(
        options: NativeOptions,
        storage: Option<Storage<'_>>,
        variables: HashMap<String, String>,
    ) -> Outcome<NativeAuthManager> {
        let build = || options.builder(storage).and_then(AuthManagerBuilder::build_now).map(Self);
        outcome(Variables::new(variables).scope(build))
    }

    /// Creates a manager and reads its store, whichever that is.
    #[napi(
        ts_args_type = "options: NativeOptions, storage: NativeEphemeralStorage | NativeConnection | null, variables: Record<string, string>",
        ts_return_type = "Outcome<NativeAuthManager> | Promise<Outcome<NativeAuthManager>>"
    )]
    pub fn open<'env>(
        env: &'env Env,
        options: NativeOptions,
        storage: Option<Storage<'_>>,
        variables: HashMap<String, String>,
    ) -> Result<Unknown<'env>> {
        let variables = Variables::new(variables);
        let builder = variables.scope(|| options.builder(storage));
        let build = async { builder?.build().await.map(Self) };
        answer_or_promise(env, variables.within(build))
    }

    /// Creates a manager that does not read its store.
    #[napi(
        ts_args_type = "options: NativeOptions, storage: NativeEphemeralStorage | NativeConnection | null, variables: Record<string, string>"
    )]
    pub fn open_unread(
        options: NativeOptions,
        storage: Option<Storage<'_>>,
        variables: HashMap<String, String>,
    ) -> Outcome<NativeAuthManager> {
        let build = || options.builder(storage)?.build_unread().map(Self);
        outcome(Variables::new(variables).scope(build))
    }

    /// Returns the snapshot in memory, or null if no login is stored.
    #[napi]
    pub fn auth(&self) -> Option<NativeCodexAuth> {
        self.0.auth().map(NativeCodexAuth)
    }

    /// Returns the span, in milliseconds since 1970, in which the snapshot is fresh without another
    /// look at it. Returns null if that is always so.
    #[napi(ts_return_type = "[number, number] | null")]
    pub fn fresh_span(&self) -> Option<Vec<f64>> {
        let span = self.0.fresh_span()?;
        Some([span.start, span.end].map(snapshot::epoch_milliseconds).to_vec())
    }

    /// Returns one word of shared memory, or null if the runtime shares none. The number in it
    /// changes whenever the results of `auth` and `fresh_span` may have changed.
    #[napi(ts_return_type = "Uint32Array | null")]
    pub fn version<'env>(&self, env: &'env Env) -> Result<Option<Uint32ArraySlice<'env>>> {
        shared_word(env, bindings::version(&self.0))
    }

    /// Returns the snapshot, or null if the caller must wait for a refresh.
    #[napi]
    pub fn fresh_auth_if_ready(&self) -> Option<NativeCodexAuth> {
        self.0.fresh_auth_if_ready().map(NativeCodexAuth)
    }

    /// Returns the snapshot, refreshed if it has expired.
    #[napi(
        ts_return_type = "Outcome<NativeCodexAuth | null> | Promise<Outcome<NativeCodexAuth | null>>"
    )]
    pub fn fresh_auth<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        answer_or_promise(env, async move { Ok(manager.fresh_auth().await?.map(NativeCodexAuth)) })
    }

    /// Reads the store. Returns whether this replaced the snapshot in memory.
    #[napi(ts_return_type = "Outcome<boolean> | Promise<Outcome<boolean>>")]
    pub fn reload<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        answer_or_promise(env, async move { manager.reload().await })
    }

    /// Reads the store and returns how the stored login relates to `auth`.
    #[napi(ts_return_type = "Outcome<NativeSync> | Promise<Outcome<NativeSync>>")]
    pub fn sync_from_storage<'env>(
        &self,
        env: &'env Env,
        auth: &NativeCodexAuth,
    ) -> Result<Unknown<'env>> {
        let (manager, auth) = (self.0.clone(), auth.0.clone());
        answer_or_promise(env, async move {
            manager.sync_from_storage(&auth).await.map(NativeSync::from)
        })
    }

    /// Returns a snapshot with another access token than that of `auth`.
    #[napi(
        ts_return_type = "Outcome<NativeCodexAuth | null> | Promise<Outcome<NativeCodexAuth | null>>"
    )]
    pub fn refresh_token<'env>(
        &self,
        env: &'env Env,
        auth: &NativeCodexAuth,
    ) -> Result<Unknown<'env>> {
        let (manager, auth) = (self.0.clone(), auth.0.clone());
        answer_or_promise(env, async move {
            Ok(manager.refresh_token(&auth).await?.map(NativeCodexAuth))
        })
    }

    /// Returns the recovery state of one request.
    #[napi]
    pub fn unauthorized_recovery(&self) -> NativeRecovery {
        NativeRecovery(self.0.unauthorized_recovery())
    }

    /// Decides what to do about a 401 response to a request that was sent with `auth`.
    #[napi(ts_return_type = "Outcome<'retry' | 'give_up'> | Promise<Outcome<'retry' | 'give_up'>>")]
    pub fn recover_from_unauthorized<'env>(
        &self,
        env: &'env Env,
        auth: &NativeCodexAuth,
        recovery: &NativeRecovery,
    ) -> Result<Unknown<'env>> {
        let (manager, auth, recovery) = (self.0.clone(), auth.0.clone(), recovery.0.clone());
        answer_or_promise(env, async move {
            Ok(manager.recover_from_unauthorized(&auth, &recovery).await?.as_str())
        })
    }

    /// Returns the snapshot to send a request to `url` with, which has the header `authorization`.
    /// Returns null if the request must wait for one, and false if the manager must leave it alone.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth | null | false>")]
    pub fn request_auth_if_ready(
        &self,
        url: String,
        authorization: Option<String>,
    ) -> Outcome<Either<bool, Option<NativeCodexAuth>>> {
        let Some(authorization) = self.authorize(url, authorization) else {
            return Either::A(Either::A(false));
        };
        let auth = authorization.0.auth_if_ready();
        outcome(auth.map(|auth| Either::B(auth.map(NativeCodexAuth))))
    }

    /// Returns the authorization of a request to `url` with the header `authorization`, or null if
    /// the manager must leave the request alone.
    #[napi]
    #[allow(clippy::needless_pass_by_value, reason = "arguments from JavaScript are owned")]
    pub fn authorize(
        &self,
        url: String,
        authorization: Option<String>,
    ) -> Option<NativeRequestAuthorization> {
        let authorization = authorization.as_deref().map(str::as_bytes);
        self.0.authorize(&url, authorization).map(NativeRequestAuthorization)
    }

    /// Starts a background task that refreshes the login before it expires. It runs until it is
    /// stopped or the returned object is garbage.
    #[napi]
    pub fn keep_fresh(&self) -> NativeKeepFresh {
        NativeKeepFresh(self.0.keep_fresh())
    }

    /// Starts a background task that adopts what other programs store. It runs until it is stopped
    /// or the returned object is garbage.
    #[napi]
    pub fn follow_store(&self) -> NativeFollowStore {
        NativeFollowStore(self.0.follow_store())
    }

    /// Calls `deliver` with each event from now on.
    #[napi(ts_args_type = "deliver: (event: NativeEvent) => void")]
    pub fn subscribe(&self, deliver: Deliver) -> NativeSubscription {
        events::subscribe(&self.0, deliver)
    }

    /// Returns the counters of this manager.
    #[napi]
    pub fn stats(&self) -> NativeStats {
        self.0.stats().into()
    }

    /// Describes this manager for a bug report, as JSON.
    #[napi(ts_return_type = "Outcome<string> | Promise<Outcome<string>>")]
    pub fn describe<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        answer_or_promise(env, async move { Ok(manager.describe().await.to_json()) })
    }

    /// Starts a sign-in with a browser.
    #[napi(ts_return_type = "Outcome<NativeBrowserLogin> | Promise<Outcome<NativeBrowserLogin>>")]
    pub fn login_with_browser<'env>(
        &self,
        env: &'env Env,
        options: NativeLoginOptions,
    ) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        answer_or_promise(env, async move {
            manager.login_with_browser(options.into_core()?).await.map(NativeBrowserLogin::from)
        })
    }

    /// Starts a sign-in with a device code.
    #[napi(ts_return_type = "Outcome<NativeDeviceLogin> | Promise<Outcome<NativeDeviceLogin>>")]
    pub fn login_with_device_code<'env>(
        &self,
        env: &'env Env,
        options: NativeLoginOptions,
    ) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        answer_or_promise(env, async move {
            manager.login_with_device_code(options.into_core()?).await.map(NativeDeviceLogin::from)
        })
    }

    /// Goes on with a sign-in with a browser that was begun elsewhere.
    #[napi(ts_return_type = "Outcome<NativeBrowserLogin> | Promise<Outcome<NativeBrowserLogin>>")]
    pub fn resume_login_with_browser<'env>(
        &self,
        env: &'env Env,
        id: String,
    ) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        answer_or_promise(env, async move {
            manager.resume_login_with_browser(&id).await.map(NativeBrowserLogin::from)
        })
    }

    /// Goes on with a sign-in with a device code that was begun elsewhere.
    #[napi(ts_return_type = "Outcome<NativeDeviceLogin> | Promise<Outcome<NativeDeviceLogin>>")]
    pub fn resume_login_with_device_code<'env>(
        &self,
        env: &'env Env,
        id: String,
    ) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        answer_or_promise(env, async move {
            manager.resume_login_with_device_code(&id).await.map(NativeDeviceLogin::from)
        })
    }

    /// Stores an API key as the login.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn login_with_api_key<'env>(
        &self,
        env: &'env Env,
        api_key: String,
    ) -> Result<Unknown<'env>> {
        let (manager, api_key) = (self.0.clone(), Secret::new(api_key));
        answer_or_promise(env, async move {
            manager.login_with_api_key(&api_key).await.map(NativeCodexAuth)
        })
    }

    /// Stores a personal access token, or the token of an agent, as the login.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn login_with_access_token<'env>(
        &self,
        env: &'env Env,
        access_token: String,
    ) -> Result<Unknown<'env>> {
        let (manager, access_token) = (self.0.clone(), Secret::new(access_token));
        answer_or_promise(env, async move {
            manager.login_with_access_token(&access_token).await.map(NativeCodexAuth)
        })
    }

    /// Removes the login from the store.
    #[napi(ts_return_type = "Outcome<NativeLogout> | Promise<Outcome<NativeLogout>>")]
    pub fn logout<'env>(
        &self,
        env: &'env Env,
        revoke: Option<bool>,
        any_account: Option<bool>,
    ) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        let mut options = LogoutOptions::default();
        options.revoke = revoke.unwrap_or(options.revoke);
        options.any_account = any_account.unwrap_or(options.any_account);
        answer_or_promise(env, async move { manager.logout(options).await.map(NativeLogout::from) })
    }

    /// Waits until no refresh is in flight and all tokens are saved. Returns whether that is so.
    #[napi(ts_return_type = "Outcome<boolean> | Promise<Outcome<boolean>>")]
    pub fn close<'env>(&self, env: &'env Env, timeout_ms: f64) -> Result<Unknown<'env>> {
        let manager = self.0.clone();
        let timeout = milliseconds("timeoutMs", Some(timeout_ms));
        answer_or_promise(env, async move { Ok(manager.close(timeout?.unwrap_or_default()).await) })
    }

    /// The kind of store that held the login when it was last read, for a store that chooses.
    #[napi(getter)]
    pub fn store_holder(&self) -> Option<NativeStoreHolder> {
        self.0.store_holder().map(NativeStoreHolder::from)
    }

    /// Whether the manager uses refreshed tokens that it could not save yet.
    #[napi(getter)]
    pub fn pending_save(&self) -> bool {
        self.0.pending_save()
    }
}

impl From<SyncOutcome> for NativeSync {
    fn from(outcome: SyncOutcome) -> Self {
        Self { kind: outcome.kind(), changed: outcome.changed() }
    }
}

impl From<LogoutOutcome> for NativeLogout {
    fn from(outcome: LogoutOutcome) -> Self {
        Self { removed: outcome.removed, revoked: outcome.revoked }
    }
}
