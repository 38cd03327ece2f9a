//! Signs in with a code that the user types in on any device.

use std::sync::Arc;
use std::time::Duration;

use super::device::{DeviceAnswer, DeviceCode, DeviceGrant, expired};
use super::kept::Kept;
use super::options::LoginOptions;
use super::pending::{PendingLogin, cancelled};
use super::sign_in::SignIn;
use super::token_reply::Tokens;
use crate::background::Signal;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::state::Event;

/// How much longer each pause gets when the server asks for that (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// The shortest pause between two polls, even if the server asks for a shorter one.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// A sign-in with a device code, by
/// [`AuthManager::login_with_device_code`](crate::AuthManager::login_with_device_code), that waits
/// for its user. It goes on in the background.
#[derive(Debug)]
#[must_use = "dropping this ends it in this process"]
pub struct DeviceLogin {
    user_code: Secret,
    verification_uri: String,
    verification_uri_complete: Option<Secret>,
    expires_in: Duration,
    kept: Option<Kept>,
    pending: PendingLogin,
}

impl DeviceLogin {
    /// Returns the code that the user types in. Keep it out of logs: any program that has it can
    /// sign in in the user's place.
    pub fn user_code(&self) -> &str {
        self.user_code.expose()
    }

    /// Returns the address at which the user types the code in.
    pub fn verification_uri(&self) -> &str {
        &self.verification_uri
    }

    /// Returns the address with the code in it, for instance for a QR code; none if the server
    /// sends none.
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.verification_uri_complete.as_ref().map(Secret::expose)
    }

    /// Returns the id by which
    /// [`resume_login_with_device_code`](crate::AuthManager::resume_login_with_device_code) goes on with
    /// the sign-in in any process; none unless the store keeps sign-ins, as PostgreSQL does. The program
    /// that began the sign-in hands it to its user only.
    pub fn id(&self) -> Option<&str> {
        self.kept.as_ref().map(Kept::id)
    }

    /// Returns the lifetime of the code, from its creation, or from when this process resumed the
    /// sign-in.
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }

    /// Waits until the login is stored, and returns its snapshot.
    ///
    /// Any number of callers may wait. Dropping the future ends the waiting, and the sign-in goes
    /// on. The future does not keep this value alive; dropping this value cancels the sign-in.
    ///
    /// # Errors
    ///
    /// `login_denied`, `login_timeout`, which is also the expiry of the code, `login_cancelled`,
    /// `login_workspace_not_allowed`, `login_failed`, `login_transient`, `save_failed`;
    /// `login_cancelled` also if another process has finished or cancelled it, `store_unavailable` if a
    /// store that keeps sign-ins cannot be asked. The stored login stays in each of these cases.
    pub fn wait(&self) -> impl Future<Output = Result<CodexAuth>> + Send + use<> {
        self.pending.wait()
    }

    /// Cancels the sign-in, in all processes. A login that is being stored already is stored.
    pub fn cancel(&self) {
        self.leave();
        self.kept.iter().for_each(Kept::cancel);
    }

    /// Ends the sign-in in this process, as dropping this does. If it has an [`id`](Self::id), it can be
    /// resumed until its time is over.
    pub fn leave(&self) {
        self.pending.cancel();
    }
}

/// A sign-in that waits until its user has typed the code in.
struct Attempt {
    sign_in: Arc<SignIn>,
    code: DeviceCode,
    expires_in: Duration,
    options: LoginOptions,
    kept: Option<Kept>,
}

impl DeviceLogin {
    /// Starts a sign-in, whose login `sign_in` stores.
    pub(crate) async fn begin(sign_in: &Arc<SignIn>, options: LoginOptions) -> Result<Self> {
        sign_in.begin(options, Self::start).await
    }

    /// Goes on with the sign-in that the store keeps under `id`.
    pub(crate) async fn resume(sign_in: &Arc<SignIn>, id: &str) -> Result<Self> {
        let (code, options, kept) = Kept::read(&sign_in.state, id).await?;
        let go_on = |sign_in, options| async move {
            Ok(Self::wait_for_user(sign_in, code, options, Some(kept)))
        };
        sign_in.begin(options, go_on).await
    }

    async fn start(sign_in: Arc<SignIn>, options: LoginOptions) -> Result<Self> {
        let scope = options.scope.as_deref();
        let code = sign_in.server.device_code(options.is_standard(), scope).await?;
        let expires_in = expires_in(&code, &options);
        let kept = Kept::new(&sign_in.state, &code, &options, expires_in).await?;
        Ok(Self::wait_for_user(sign_in, code, options, kept))
    }

    fn wait_for_user(
        sign_in: Arc<SignIn>,
        code: DeviceCode,
        options: LoginOptions,
        kept: Option<Kept>,
    ) -> Self {
        let (user_code, verification_uri) = (code.user_code.clone(), code.verification_uri.clone());
        let verification_uri_complete = code.verification_uri_complete.clone();
        let expires_in = expires_in(&code, &options);
        let state = Arc::clone(&sign_in.state);
        let attempt = Attempt { sign_in, code, expires_in, options, kept: kept.clone() };
        let pending =
            PendingLogin::start(&state, |signal| async move { attempt.finish(&signal).await });
        Self { user_code, verification_uri, verification_uri_complete, expires_in, kept, pending }
    }
}

fn expires_in(code: &DeviceCode, options: &LoginOptions) -> Duration {
    options.timeout.map_or(code.lifetime, |most| most.min(code.lifetime))
}

impl Attempt {
    async fn finish(self, signal: &Signal) -> Result<CodexAuth> {
        let environment = &self.sign_in.state.environment;
        let granted = environment.within(self.expires_in, self.poll());
        let granted = signal.unless_stopped(granted).await.ok_or_else(cancelled)?;
        let grant = granted.unwrap_or_else(|| Err(expired()))?;
        let tokens = signal.unless_stopped(self.tokens(grant)).await;
        self.sign_in.complete(tokens.ok_or_else(cancelled)??, &self.options).await
    }

    async fn tokens(&self, grant: DeviceGrant) -> Result<Tokens> {
        // A grant is for one request, and its sign-in for one process.
        if let Some(kept) = &self.kept {
            kept.end().await?;
        }
        let tokens = self.sign_in.server.device_tokens(grant).await?;
        self.sign_in.check_tokens(&tokens, None, &self.options).await?;
        Ok(tokens)
    }

    /// Polls the server until the user has agreed, or the sign-in fails.
    async fn poll(&self) -> Result<DeviceGrant> {
        let SignIn { state, server, .. } = &*self.sign_in;
        let mut interval = self.code.interval.max(SHORTEST_INTERVAL);
        loop {
            state.environment.clock.sleep(interval).await;
            if !self.is_our_turn(interval).await? {
                continue;
            }
            match server.poll_device(&self.code).await {
                Ok(DeviceAnswer::Granted(grant)) => return Ok(grant),
                Ok(DeviceAnswer::Pending) => state.announce(Event::LoginPending),
                Ok(DeviceAnswer::SlowDown) => {
                    interval += SLOWER;
                    state.announce(Event::LoginPending);
                }
                // The server may be overloaded, so the pauses grow (RFC 8628, section 3.5).
                Err(error) if error.kind() == ErrorKind::LoginTransient => interval *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether this process is to ask the server, and not another one that goes on with the
    /// same sign-in: all of them together ask as often as one.
    async fn is_our_turn(&self, interval: Duration) -> Result<bool> {
        let Some(kept) = &self.kept else { return Ok(true) };
        match kept.take_turn(interval).await {
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "the sign-in waits for its store");
                Ok(false)
            }
            turn => turn,
        }
    }
}
