//! Signing in on another device, by a code that its user types in there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::options::LoginOptions;
use super::pending::{PendingLogin, cancelled};
use crate::error::{ErrorKind, Result};
use crate::login::{DeviceAnswer, DeviceCode, DeviceGrant, Tokens, expired};
use crate::manager::background::Signal;
use crate::manager::events::Event;
use crate::manager::shared::Shared;
use crate::snapshot::CodexAuth;

/// By so much the pauses grow when the server asks for it (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// Whatever a server says.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// A sign-in that waits for a user to type a code in; by
/// [`AuthManager::login_with_device_code`](crate::AuthManager::login_with_device_code).
#[must_use = "dropping this cancels it"]
pub struct DeviceLogin {
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: Duration,
    pending: PendingLogin,
}

impl DeviceLogin {
    /// What the user types in. Keep it out of logs: whoever has it can sign in in the user's place.
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// Where.
    pub fn verification_uri(&self) -> &str {
        &self.verification_uri
    }

    /// The same with the code in it, for a QR code, say, where the server has one.
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.verification_uri_complete.as_deref()
    }

    /// How long the code is good, from when it was made.
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }

    /// Waits until the login is stored; see [`BrowserLogin::wait`](super::BrowserLogin::wait).
    ///
    /// # Errors
    ///
    /// As there; `login_timeout` where the code has expired.
    pub fn wait(&self) -> impl Future<Output = Result<CodexAuth>> + Send + use<> {
        self.pending.wait()
    }

    /// Ends it, as dropping it does, unless the login is being stored already.
    pub fn cancel(&self) {
        self.pending.cancel();
    }
}

impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin")
            .field("verification_uri", &self.verification_uri)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(in crate::manager) async fn login_with_device_code(
        self: &Arc<Self>,
        options: LoginOptions,
    ) -> Result<DeviceLogin> {
        options.check()?;
        let shared = Arc::clone(self);
        self.on_worker_unawaited(async move { shared.begin_device_login(options).await }).await?
    }

    async fn begin_device_login(self: &Arc<Self>, options: LoginOptions) -> Result<DeviceLogin> {
        self.prove_savable().await?;
        self.server.require_token_endpoint(options.is_standard()).await?;
        let scope = options.scope.as_deref();
        let code = self.server.device_code(options.is_standard(), scope).await?;
        let (user_code, verification_uri) = (code.user_code.clone(), code.verification_uri.clone());
        let verification_uri_complete = code.verification_uri_complete.clone();
        let expires_in = options.timeout.map_or(code.lifetime, |most| most.min(code.lifetime));
        let shared = Arc::clone(self);
        let pending = PendingLogin::start(self, |signal| async move {
            shared.finish_device_login(code, expires_in, options, &signal).await
        });
        Ok(DeviceLogin {
            user_code,
            verification_uri,
            verification_uri_complete,
            expires_in,
            pending,
        })
    }

    async fn finish_device_login(
        self: Arc<Self>,
        code: DeviceCode,
        expires_in: Duration,
        options: LoginOptions,
        signal: &Signal,
    ) -> Result<CodexAuth> {
        let granted = self.environment.within(expires_in, self.poll(&code));
        let granted = signal.unless_stopped(granted).await.ok_or_else(cancelled)?;
        let grant = granted.unwrap_or_else(|| Err(expired()))?;
        let tokens = signal.unless_stopped(self.device_tokens(grant, &options)).await;
        self.sign_in_with(tokens.ok_or_else(cancelled)??, &options).await
    }

    async fn device_tokens(&self, grant: DeviceGrant, options: &LoginOptions) -> Result<Tokens> {
        let tokens = self.server.device_tokens(grant).await?;
        self.check_tokens(&tokens, None, options).await?;
        Ok(tokens)
    }

    /// Asks until there is an answer.
    async fn poll(&self, code: &DeviceCode) -> Result<DeviceGrant> {
        let mut interval = code.interval.max(SHORTEST_INTERVAL);
        loop {
            self.environment.clock.sleep(interval).await;
            match self.server.poll_device(code).await {
                Ok(DeviceAnswer::Granted(grant)) => return Ok(grant),
                Ok(DeviceAnswer::Pending) => self.announce(Event::LoginPending),
                Ok(DeviceAnswer::SlowDown) => {
                    interval += SLOWER;
                    self.announce(Event::LoginPending);
                }
                // Nobody knows whether it was heard: less often from now on.
                Err(error) if error.kind() == ErrorKind::LoginTransient => interval *= 2,
                Err(error) => return Err(error),
            }
        }
    }
}
