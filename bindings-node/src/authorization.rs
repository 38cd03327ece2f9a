//! The authorization of one HTTP request.

use codex_auth_sdk::RequestAuthorization;
use napi::Env;
use napi::bindgen_prelude::{Result, Unknown};
use napi_derive::napi;

use crate::promise::answer_or_promise;
use crate::snapshot::NativeCodexAuth;

/// A placeholder for a client that requires an API key although a manager authorizes its requests.
#[napi]
pub const MANAGED_API_KEY: &str = codex_auth_sdk::MANAGED_API_KEY;

/// The authorization of one HTTP request: which snapshot it is sent with, and whether it is
/// repeated.
#[napi]
#[derive(Debug)]
pub struct NativeRequestAuthorization(pub(crate) RequestAuthorization);

#[napi]
impl NativeRequestAuthorization {
    /// Returns the snapshot to send the request with, refreshed if it has expired.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn auth<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let authorization = self.0.clone();
        answer_or_promise(env, async move { authorization.auth().await.map(NativeCodexAuth) })
    }

    /// Returns the snapshot to repeat the request with, or null if its response is final. The
    /// request was sent with `auth` and answered with `status`.
    #[napi(
        ts_return_type = "Outcome<NativeCodexAuth | null> | Promise<Outcome<NativeCodexAuth | null>>"
    )]
    pub fn retry_auth<'env>(
        &self,
        env: &'env Env,
        auth: &NativeCodexAuth,
        status: u16,
    ) -> Result<Unknown<'env>> {
        let (authorization, auth) = (self.0.clone(), auth.0.clone());
        answer_or_promise(env, async move {
            Ok(authorization.retry_auth(&auth, status).await?.map(NativeCodexAuth))
        })
    }
}
