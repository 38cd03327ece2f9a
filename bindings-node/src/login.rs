//! Sign-ins that wait for their user.

use std::sync::Arc;

use codex_auth_sdk::{BrowserLogin, CodexAuth, DeviceLogin, LoginOptions, Result};
use napi::Env;
use napi::bindgen_prelude::{Result as NapiResult, Unknown};
use napi_derive::napi;

use crate::failure::Failure;
use crate::options::milliseconds;
use crate::promise::answer;
use crate::snapshot::NativeCodexAuth;

/// The options as JavaScript names them; the facade documents them.
#[napi(object, object_to_js = false)]
#[expect(missing_docs, reason = "the facade documents them")]
#[derive(Debug)]
pub struct NativeLoginOptions {
    pub allowed_workspaces: Option<Vec<String>>,
    pub revoke_replaced: Option<bool>,
    pub timeout_ms: Option<f64>,
    pub ports: Option<Vec<u16>>,
    pub manual: Option<bool>,
    pub protocol: Option<String>,
    pub scope: Option<String>,
    pub id_token_validation: Option<String>,
}

impl NativeLoginOptions {
    /// The core's options.
    pub(crate) fn options(self) -> Result<LoginOptions> {
        let mut options = LoginOptions::default();
        macro_rules! set {
            ($($name:ident: $value:expr;)*) => {$(
                if let Some(value) = $value {
                    options.$name = value;
                }
            )*};
        }
        set! {
            allowed_workspaces: self.allowed_workspaces;
            revoke_replaced: self.revoke_replaced;
            ports: self.ports;
            manual: self.manual;
            protocol: self.protocol.as_deref().map(str::parse).transpose()?;
            id_token_validation: self.id_token_validation.as_deref().map(str::parse).transpose()?;
        }
        options.timeout = milliseconds("timeoutMs", self.timeout_ms)?;
        options.scope = self.scope;
        Ok(options)
    }
}

/// Behind `BrowserLogin`. Once it is gone and nothing waits for it, the sign-in is cancelled.
#[napi]
#[derive(Debug)]
pub struct NativeBrowserLogin(Arc<BrowserLogin>);

/// Behind `DeviceLogin`. Once it is gone and nothing waits for it, the sign-in is cancelled.
#[napi]
#[derive(Debug)]
pub struct NativeDeviceLogin(Arc<DeviceLogin>);

impl From<BrowserLogin> for NativeBrowserLogin {
    fn from(login: BrowserLogin) -> Self {
        Self(Arc::new(login))
    }
}

impl From<DeviceLogin> for NativeDeviceLogin {
    fn from(login: DeviceLogin) -> Self {
        Self(Arc::new(login))
    }
}

#[napi]
impl NativeBrowserLogin {
    /// Where the browser is to go.
    #[napi(getter)]
    pub fn authorization_url(&self) -> &str {
        self.0.authorization_url()
    }

    /// Where it comes back to.
    #[napi(getter)]
    pub fn redirect_uri(&self) -> &str {
        self.0.redirect_uri()
    }

    /// Opens the user's browser.
    #[napi]
    pub fn open_browser(&self) -> Option<Failure> {
        self.0.open_browser().err().map(Failure::from)
    }

    /// Waits until the login is stored.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn wait<'env>(&self, env: &'env Env) -> NapiResult<Unknown<'env>> {
        let waiting = |login: Arc<BrowserLogin>| async move { login.wait().await };
        outcome_of(env, &self.0, BrowserLogin::cancel, waiting)
    }

    /// Goes on with the address that the browser ended up at, and waits.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn complete<'env>(
        &self,
        env: &'env Env,
        redirected_url: String,
    ) -> NapiResult<Unknown<'env>> {
        let waiting =
            |login: Arc<BrowserLogin>| async move { login.complete(&redirected_url).await };
        outcome_of(env, &self.0, BrowserLogin::cancel, waiting)
    }

    /// Ends it.
    #[napi]
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

#[napi]
impl NativeDeviceLogin {
    /// What the user types in.
    #[napi(getter)]
    pub fn user_code(&self) -> &str {
        self.0.user_code()
    }

    /// Where.
    #[napi(getter)]
    pub fn verification_uri(&self) -> &str {
        self.0.verification_uri()
    }

    /// The same with the code in it.
    #[napi(getter)]
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.0.verification_uri_complete()
    }

    /// How long the code is good, from when it was made.
    #[napi(getter)]
    pub fn expires_in_ms(&self) -> f64 {
        self.0.expires_in().as_secs_f64() * 1e3
    }

    /// Waits until the login is stored.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn wait<'env>(&self, env: &'env Env) -> NapiResult<Unknown<'env>> {
        let waiting = |login: Arc<DeviceLogin>| async move { login.wait().await };
        outcome_of(env, &self.0, DeviceLogin::cancel, waiting)
    }

    /// Ends it.
    #[napi]
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

/// What `waiting` for `login` comes to.
fn outcome_of<'env, L: 'static, F>(
    env: &'env Env,
    login: &Arc<L>,
    cancel: fn(&L),
    waiting: impl FnOnce(Arc<L>) -> F,
) -> NapiResult<Unknown<'env>>
where
    F: Future<Output = Result<CodexAuth>> + Send + 'static,
{
    // What is waited for is not collected at the end of a worker, where nobody waits any more.
    env.add_env_cleanup_hook((Arc::downgrade(login), cancel), |(login, cancel)| {
        if let Some(login) = login.upgrade() {
            cancel(&login);
        }
    })?;
    let waiting = waiting(Arc::clone(login));
    answer(env, async move { waiting.await.map(NativeCodexAuth) })
}
