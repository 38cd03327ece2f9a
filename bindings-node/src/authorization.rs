//! One request's authorization.

use codex_auth_sdk::RequestAuthorization;
use napi::Env;
use napi::bindgen_prelude::{Result, Unknown};
use napi_derive::napi;

use crate::promise::answer;
use crate::snapshot::NativeCodexAuth;

/// The API key of a client whose requests a manager authorizes.
#[napi]
pub const MANAGED_API_KEY: &str = codex_auth_sdk::MANAGED_API_KEY;

/// Behind the HTTP integrations: what one request is sent with, and whether it is sent again.
#[napi]
#[derive(Debug)]
pub struct NativeRequestAuthorization(pub(crate) RequestAuthorization);

#[napi]
impl NativeRequestAuthorization {
    /// The snapshot to send the request with, refreshed first where needed.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn auth<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let authorization = self.0.clone();
        answer(env, async move { authorization.auth().await.map(NativeCodexAuth) })
    }

    /// The snapshot to send the request again with, after it was answered with `status`.
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
        answer(env, async move {
            Ok(authorization.retry_auth(&auth, status).await?.map(NativeCodexAuth))
        })
    }
}
