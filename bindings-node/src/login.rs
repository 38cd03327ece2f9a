//! Sign-ins that wait for their user.

use std::sync::Arc;

use codex_auth_sdk::{BrowserLogin, CodexAuth, DeviceLogin, LoginOptions, Result};
use napi::Env;
use napi::bindgen_prelude::{Result as NapiResult, Unknown};
use napi_derive::napi;

use crate::failure::Failure;
use crate::options::milliseconds;
use crate::promise::answer_or_promise;
use crate::snapshot::NativeCodexAuth;

/// The options of a sign-in, by their JavaScript names.
#[napi(object, object_to_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
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
    /// Converts the options to those of the core.
    pub(crate) fn into_core(self) -> Result<LoginOptions> {
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

/// The native half of `BrowserLogin`. The sign-in ends in this process once this is garbage and
/// no call waits for it.
#[napi]
#[derive(Debug)]
pub struct NativeBrowserLogin(Arc<BrowserLogin>);

/// The native half of `DeviceLogin`. The sign-in ends in this process once this is garbage and
/// no call waits for it.
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
    /// The address at which the user signs in.
    #[napi(getter)]
    pub fn authorization_url(&self) -> &str {
        self.0.authorization_url()
    }

    /// The address to which the authorization server redirects the browser after the sign-in.
    #[napi(getter)]
    pub fn redirect_uri(&self) -> &str {
        self.0.redirect_uri()
    }

    /// The id by which another process can finish the sign-in, if it is kept.
    #[napi(getter)]
    pub fn id(&self) -> Option<&str> {
        self.0.id()
    }

    /// Opens the user's browser at a page that leads to `authorization_url`. Returns the error, if
    /// there is one.
    #[napi]
    pub fn open_browser(&self) -> Option<Failure> {
        self.0.open_browser().err().map(Failure::from)
    }

    /// Waits until the login is stored, and returns its snapshot.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn wait<'env>(&self, env: &'env Env) -> NapiResult<Unknown<'env>> {
        let waiting = |login: Arc<BrowserLogin>| async move { login.wait().await };
        wait_for_login(env, &self.0, BrowserLogin::leave, waiting)
    }

    /// Completes the sign-in with the address at which the browser arrived, and waits for it.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn complete<'env>(
        &self,
        env: &'env Env,
        redirected_url: String,
    ) -> NapiResult<Unknown<'env>> {
        let waiting =
            |login: Arc<BrowserLogin>| async move { login.complete(&redirected_url).await };
        wait_for_login(env, &self.0, BrowserLogin::leave, waiting)
    }

    /// Cancels the sign-in in all processes.
    #[napi]
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Ends the sign-in in this process.
    #[napi]
    pub fn leave(&self) {
        self.0.leave();
    }
}

#[napi]
impl NativeDeviceLogin {
    /// The code that the user types in.
    #[napi(getter)]
    pub fn user_code(&self) -> &str {
        self.0.user_code()
    }

    /// The address at which the user types the code in.
    #[napi(getter)]
    pub fn verification_uri(&self) -> &str {
        self.0.verification_uri()
    }

    /// The address with the code in it, if the server sends one.
    #[napi(getter)]
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.0.verification_uri_complete()
    }

    /// The id by which another process can finish the sign-in, if it is kept.
    #[napi(getter)]
    pub fn id(&self) -> Option<&str> {
        self.0.id()
    }

    /// The lifetime of the code in milliseconds, from its creation or from its resumption here.
    #[napi(getter)]
    pub fn expires_in_ms(&self) -> f64 {
        self.0.expires_in().as_secs_f64() * 1e3
    }

    /// Waits until the login is stored, and returns its snapshot.
    #[napi(ts_return_type = "Outcome<NativeCodexAuth> | Promise<Outcome<NativeCodexAuth>>")]
    pub fn wait<'env>(&self, env: &'env Env) -> NapiResult<Unknown<'env>> {
        let waiting = |login: Arc<DeviceLogin>| async move { login.wait().await };
        wait_for_login(env, &self.0, DeviceLogin::leave, waiting)
    }

    /// Cancels the sign-in in all processes.
    #[napi]
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Ends the sign-in in this process.
    #[napi]
    pub fn leave(&self) {
        self.0.leave();
    }
}

/// Answers with the result of `waiting` for `login`, which is left when the environment ends.
fn wait_for_login<'env, L: 'static, F>(
    env: &'env Env,
    login: &Arc<L>,
    leave: fn(&L),
    waiting: impl FnOnce(Arc<L>) -> F,
) -> NapiResult<Unknown<'env>>
where
    F: Future<Output = Result<CodexAuth>> + Send + 'static,
{
    // A pending call keeps the sign-in alive. The end of a worker thread drops no pending calls, so
    // the sign-in is left by a hook.
    env.add_env_cleanup_hook((Arc::downgrade(login), leave), |(login, leave)| {
        if let Some(login) = login.upgrade() {
            leave(&login);
        }
    })?;
    let waiting = waiting(Arc::clone(login));
    answer_or_promise(env, async move { waiting.await.map(NativeCodexAuth) })
}
