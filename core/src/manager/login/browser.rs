//! Signing in with a browser on this machine, or with one elsewhere whose user pastes an address.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use url::Url;

use super::options::LoginOptions;
use super::pending::{PendingLogin, cancelled};
use crate::error::{Error, ErrorKind, Result};
use crate::login::{AuthorizationRequest, Callback, Listener, Page, Tokens, Waiting, code_in};
use crate::manager::background::Signal;
use crate::manager::shared::Shared;
use crate::process::NotInherited;
use crate::secret::Secret;
use crate::snapshot::CodexAuth;

const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How long the browser may take to get its last page.
const FAREWELL: Duration = Duration::from_secs(2);

/// A sign-in that waits for a browser; by
/// [`AuthManager::login_with_browser`](crate::AuthManager::login_with_browser).
#[must_use = "dropping this cancels it"]
pub struct BrowserLogin {
    authorization_url: Url,
    redirect_uri: String,
    state: Secret,
    pasted: NotInherited<mpsc::Sender<Callback>>,
    pending: PendingLogin,
}

impl BrowserLogin {
    /// Where the browser is to go. Keep it out of logs: whoever has it can sign in in the user's
    /// place.
    pub fn authorization_url(&self) -> &str {
        self.authorization_url.as_str()
    }

    /// Where the browser comes back to.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Opens the user's browser there.
    ///
    /// # Errors
    ///
    /// `login_not_supported` where none can be opened.
    #[cfg(feature = "webbrowser")]
    pub fn open_browser(&self) -> Result<()> {
        webbrowser::open(self.authorization_url()).map_err(|error| {
            let message = "no browser could be opened; open the address by hand";
            Error::new(ErrorKind::LoginNotSupported, message).with_source(error)
        })
    }

    /// Waits until the login is stored. May be called again, and by several at once. Dropping the
    /// future ends the waiting, not the sign-in; the future does not keep this alive, whose end
    /// cancels the sign-in.
    ///
    /// # Errors
    ///
    /// `login_denied`, `login_timeout`, `login_cancelled`, `login_workspace_not_allowed`,
    /// `login_failed`, `login_transient`, `save_failed`. In all cases the store is what it was.
    pub fn wait(&self) -> impl Future<Output = Result<CodexAuth>> + Send + use<> {
        self.pending.wait()
    }

    /// Goes on with the address that the browser ended up at, as its user has pasted it, and waits.
    ///
    /// # Errors
    ///
    /// `login_state_mismatch` where it is of another sign-in, `login_failed` where it is no such
    /// address: both leave this one waiting. Else those of [`wait`](Self::wait).
    pub fn complete(
        &self,
        redirected_url: &str,
    ) -> impl Future<Output = Result<CodexAuth>> + Send + use<> {
        let (pasted, outcome) = (self.paste(redirected_url), self.wait());
        async move {
            pasted?;
            outcome.await
        }
    }

    fn paste(&self, redirected_url: &str) -> Result<()> {
        let callback = code_in(redirected_url, &self.state)?;
        // A sign-in that has its answer needs no other.
        drop(self.pasted.get().map(|pasted| pasted.try_send(callback)));
        Ok(())
    }

    /// Ends it, as dropping it does, unless the login is being stored already. The port is free
    /// at once.
    pub fn cancel(&self) {
        self.pending.cancel();
    }
}

impl fmt::Debug for BrowserLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrowserLogin")
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// What a browser's answer is waited for with.
struct Attempt {
    request: AuthorizationRequest,
    options: LoginOptions,
    listener: Option<Listener>,
    pastes: mpsc::Receiver<Callback>,
}

impl Attempt {
    /// The answer, and the browser that waits for a page.
    async fn answer(&mut self) -> (Callback, Option<Waiting>) {
        let (listener, state) = (self.listener.as_mut(), &self.request.state);
        let arrival = async {
            match listener {
                Some(listener) => listener.arrival(state.clone()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            (callback, waiting) = arrival => (callback, Some(waiting)),
            Some(callback) = self.pastes.recv() => (callback, None),
        }
    }
}

impl Shared {
    pub(in crate::manager) async fn login_with_browser(
        self: &Arc<Self>,
        options: LoginOptions,
    ) -> Result<BrowserLogin> {
        options.check()?;
        let shared = Arc::clone(self);
        self.on_worker_unawaited(async move { shared.begin_browser_login(options).await }).await?
    }

    async fn begin_browser_login(self: &Arc<Self>, options: LoginOptions) -> Result<BrowserLogin> {
        self.prove_savable().await?;
        self.server.require_token_endpoint(options.is_standard()).await?;
        let listener =
            if options.manual { None } else { Some(Listener::bind(&options.ports).await?) };
        let port = listener.as_ref().map_or(options.ports[0], Listener::port);
        let redirect_uri = format!("http://localhost:{port}/auth/callback");
        let request = AuthorizationRequest::new(redirect_uri.clone(), options.is_standard())?;
        let authorization_url = self
            .server
            .authorization_url(
                &request,
                options.is_standard(),
                options.scope.as_deref(),
                &options.allowed_workspaces,
            )
            .await?;
        let state = request.state.clone();
        let (pasted, pastes) = mpsc::channel(1);
        let pasted = NotInherited::new(pasted);
        let attempt = Attempt { request, options, listener, pastes };
        let shared = Arc::clone(self);
        let pending = PendingLogin::start(self, |signal| async move {
            shared.finish_browser_login(attempt, &signal).await
        });
        Ok(BrowserLogin { authorization_url, redirect_uri, state, pasted, pending })
    }

    async fn finish_browser_login(
        self: Arc<Self>,
        mut attempt: Attempt,
        signal: &Signal,
    ) -> Result<CodexAuth> {
        let timeout = attempt.options.timeout.unwrap_or(TIMEOUT);
        let answer = self.environment.within(timeout, attempt.answer());
        let answer = signal.unless_stopped(answer).await.ok_or_else(cancelled)?;
        let (callback, waiting) = answer.ok_or_else(|| late(timeout))?;
        let tokens = signal.unless_stopped(self.tokens(callback, &attempt)).await;
        let outcome = match tokens {
            Some(Ok(tokens)) => self.sign_in_with(tokens, &attempt.options).await,
            Some(Err(error)) => Err(error),
            None => Err(cancelled()),
        };
        if let Some((waiting, listener)) = waiting.zip(attempt.listener.as_mut()) {
            let page = if outcome.is_ok() { Page::SignedIn } else { Page::Failed };
            self.environment.within(FAREWELL, listener.show(waiting, page)).await;
        }
        outcome
    }

    async fn tokens(&self, callback: Callback, attempt: &Attempt) -> Result<Tokens> {
        let code = match callback {
            Callback::Code(code) => code,
            Callback::Refused(error) => return Err(error),
        };
        let AuthorizationRequest { pkce, redirect_uri, nonce, .. } = &attempt.request;
        let is_standard = attempt.options.is_standard();
        let tokens = self.server.exchange(&code, &pkce.verifier, redirect_uri, is_standard).await?;
        self.check_tokens(&tokens, nonce.as_ref(), &attempt.options).await?;
        Ok(tokens)
    }
}

fn late(timeout: Duration) -> Error {
    let message = format!("nobody has signed in within {} seconds; try again", timeout.as_secs());
    Error::new(ErrorKind::LoginTimeout, message)
}
