//! Signing in with a browser on this machine, or with one elsewhere whose user pastes an address.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use url::Url;

use super::callback::{Callback, code_in};
use super::listener::{Listener, Waiting};
use super::options::LoginOptions;
use super::page::Page;
use super::pending::{PendingLogin, cancelled};
use super::request::AuthorizationRequest;
use super::sign_in::SignIn;
use super::token_reply::Tokens;
use crate::background::Signal;
use crate::error::{Error, ErrorKind, Result};
use crate::process::NotInherited;
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::tasks;

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

    async fn finish(mut self, sign_in: &Arc<SignIn>, signal: &Signal) -> Result<CodexAuth> {
        let environment = &sign_in.state.environment;
        let timeout = self.options.timeout.unwrap_or(TIMEOUT);
        let answer = environment.within(timeout, self.answer());
        let answer = signal.unless_stopped(answer).await.ok_or_else(cancelled)?;
        let (callback, waiting) = answer.ok_or_else(|| late(timeout))?;
        let tokens = signal.unless_stopped(self.tokens(callback, sign_in)).await;
        let outcome = match tokens {
            Some(Ok(tokens)) => sign_in.complete(tokens, &self.options).await,
            Some(Err(error)) => Err(error),
            None => Err(cancelled()),
        };
        if let Some((waiting, listener)) = waiting.zip(self.listener.as_mut()) {
            let page = if outcome.is_ok() { Page::SignedIn } else { Page::Failed };
            environment.within(FAREWELL, listener.show(waiting, page)).await;
        }
        outcome
    }

    async fn tokens(&self, callback: Callback, sign_in: &SignIn) -> Result<Tokens> {
        let code = match callback {
            Callback::Code(code) => code,
            Callback::Refused(error) => return Err(error),
        };
        let AuthorizationRequest { pkce, redirect_uri, nonce, .. } = &self.request;
        let (server, is_standard) = (&sign_in.server, self.options.is_standard());
        let tokens = server.exchange(&code, &pkce.verifier, redirect_uri, is_standard).await?;
        sign_in.check_tokens(&tokens, nonce.as_ref(), &self.options).await?;
        Ok(tokens)
    }
}

impl BrowserLogin {
    /// Begins to sign in by `sign_in`.
    pub(crate) async fn begin(sign_in: &Arc<SignIn>, options: LoginOptions) -> Result<Self> {
        options.check()?;
        let begun = Self::begin_here(Arc::clone(sign_in), options);
        tasks::run_read(&sign_in.state.environment, begun).await?
    }

    async fn begin_here(sign_in: Arc<SignIn>, options: LoginOptions) -> Result<Self> {
        sign_in.prove_savable().await?;
        let (server, is_standard) = (&sign_in.server, options.is_standard());
        server.require_token_endpoint(is_standard).await?;
        let listener =
            if options.manual { None } else { Some(Listener::bind(&options.ports).await?) };
        let port = listener.as_ref().map_or(options.ports[0], Listener::port);
        let redirect_uri = format!("http://localhost:{port}/auth/callback");
        let request = AuthorizationRequest::new(redirect_uri.clone(), is_standard)?;
        let (scope, workspaces) = (options.scope.as_deref(), &options.allowed_workspaces);
        let authorization_url =
            server.authorization_url(&request, is_standard, scope, workspaces).await?;
        let state = request.state.clone();
        let (pasted, pastes) = mpsc::channel(1);
        let pasted = NotInherited::new(pasted);
        let attempt = Attempt { request, options, listener, pastes };
        let finisher = Arc::clone(&sign_in);
        let pending = PendingLogin::start(&sign_in.state, |signal| async move {
            attempt.finish(&finisher, &signal).await
        });
        Ok(Self { authorization_url, redirect_uri, state, pasted, pending })
    }
}

fn late(timeout: Duration) -> Error {
    let message = format!("nobody has signed in within {} seconds; try again", timeout.as_secs());
    Error::new(ErrorKind::LoginTimeout, message)
}
