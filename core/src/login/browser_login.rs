//! Signs in with a browser on this machine, or on another machine, from which the user pastes an
//! address.

use std::future::pending;
#[cfg(feature = "webbrowser")]
use std::io;
use std::sync::Arc;
#[cfg(feature = "webbrowser")]
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::callback::{Callback, code_in};
use super::kept::Kept;
use super::listener::{Listener, RedirectHost, Waiting};
use super::options::LoginOptions;
use super::page::Page;
use super::pending::{PendingLogin, cancelled};
#[cfg(feature = "webbrowser")]
use super::redirect_page::RedirectPage;
use super::request::AuthorizationRequest;
use super::sign_in::SignIn;
use super::token_reply::Tokens;
use crate::background::Signal;
use crate::error::{Error, ErrorKind, Result};
use crate::process::NotInherited;
use crate::secret::Secret;
use crate::snapshot::CodexAuth;

const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How long the browser may take to fetch its last page.
const FAREWELL: Duration = Duration::from_secs(2);

/// A sign-in with a browser, by
/// [`AuthManager::login_with_browser`](crate::AuthManager::login_with_browser), that waits for its
/// user. It goes on in the background.
#[derive(Debug)]
#[must_use = "dropping this ends it in this process"]
pub struct BrowserLogin {
    authorization_url: Secret,
    redirect_uri: String,
    state: Secret,
    pasted: NotInherited<mpsc::Sender<Callback>>,
    kept: Option<Kept>,
    pending: PendingLogin,
    /// The page by which the browser was opened last.
    #[cfg(feature = "webbrowser")]
    page: Mutex<Option<NotInherited<RedirectPage>>>,
}

impl BrowserLogin {
    /// Returns the address at which the user signs in. Keep it out of logs: any program that has it
    /// can sign in in the user's place.
    pub fn authorization_url(&self) -> &str {
        self.authorization_url.expose()
    }

    /// Returns the address to which the authorization server redirects the browser after the
    /// sign-in.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Returns the id by which
    /// [`resume_login_with_browser`](crate::AuthManager::resume_login_with_browser) finishes the sign-in
    /// in any process; none unless it is manual and the store keeps sign-ins, as PostgreSQL does. The
    /// program that began the sign-in hands it to its user only, in a cookie, say.
    pub fn id(&self) -> Option<&str> {
        self.kept.as_ref().map(Kept::id)
    }

    /// Opens the user's browser at a page in a file that leads it on to
    /// [`authorization_url`](Self::authorization_url). Other users of the machine see the command
    /// that opens it, and cannot read the file, which is removed when this value is dropped.
    ///
    /// A browser on another machine cannot read the file either: show that user the address.
    ///
    /// # Errors
    ///
    /// `login_not_supported` if no browser can be opened.
    #[cfg(feature = "webbrowser")]
    pub fn open_browser(&self) -> Result<()> {
        self.open_page().map_err(|error| {
            let message = "no browser could be opened; open the address by hand";
            Error::new(ErrorKind::LoginNotSupported, message).with_source(error)
        })
    }

    #[cfg(feature = "webbrowser")]
    fn open_page(&self) -> io::Result<()> {
        let page = RedirectPage::create(&self.authorization_url)?;
        webbrowser::open(page.address()?.as_str())?;
        let page = Some(NotInherited::new(page));
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = page;
        Ok(())
    }

    /// Waits until the login is stored, and returns its snapshot.
    ///
    /// Any number of callers may wait. Dropping the future ends the waiting, and the sign-in goes
    /// on. The future does not keep this value alive; dropping this value cancels the sign-in.
    ///
    /// # Errors
    ///
    /// `login_denied`, `login_timeout`, `login_cancelled`, `login_workspace_not_allowed`,
    /// `login_failed`, `login_transient`, `save_failed`; `store_unavailable` if a store that keeps
    /// sign-ins cannot be asked. The stored login stays in each of these cases.
    pub fn wait(&self) -> impl Future<Output = Result<CodexAuth>> + Send + use<> {
        self.pending.wait()
    }

    /// Completes the sign-in with the address at which the browser arrived, as its user has pasted
    /// it, and waits like [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// `login_state_mismatch` if the address belongs to another sign-in, `login_failed` if it is no
    /// such address: after both, this sign-in still waits. Else those of [`wait`](Self::wait);
    /// `login_cancelled` also if another process has finished or cancelled it.
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
        // This fails if the sign-in already has an answer, and needs no other.
        drop(self.pasted.get().map(|pasted| pasted.try_send(callback)));
        Ok(())
    }

    /// Cancels the sign-in, in all processes, and frees its port at once. A login that is being stored
    /// already is stored.
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

/// What a sign-in is finished by.
#[derive(Serialize, Deserialize)]
struct Begun {
    request: AuthorizationRequest,
    authorization_url: Secret,
}

/// A sign-in that waits for the answer of a browser.
struct Attempt {
    request: AuthorizationRequest,
    options: LoginOptions,
    listener: Option<Listener>,
    kept: Option<Kept>,
    pastes: mpsc::Receiver<Callback>,
}

impl Attempt {
    /// Waits for the answer. Returns it with the browser that waits for a page, if one does.
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
        let timeout = timeout(&self.options);
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
        // A code is for one request, and its sign-in for one process.
        if let Some(kept) = &self.kept {
            kept.end().await?;
        }
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
    /// Starts a sign-in, whose login `sign_in` stores.
    pub(crate) async fn begin(sign_in: &Arc<SignIn>, options: LoginOptions) -> Result<Self> {
        sign_in.begin(options, Self::start).await
    }

    /// Goes on with the sign-in that the store keeps under `id`.
    pub(crate) async fn resume(sign_in: &Arc<SignIn>, id: &str) -> Result<Self> {
        let (begun, options, kept) = Kept::read(&sign_in.state, id).await?;
        let go_on = |sign_in: Arc<SignIn>, options| async move {
            Ok(Self::wait_for_user(&sign_in, begun, options, None, Some(kept)))
        };
        sign_in.begin(options, go_on).await
    }

    async fn start(sign_in: Arc<SignIn>, options: LoginOptions) -> Result<Self> {
        let (server, is_standard) = (&sign_in.server, options.is_standard());
        // The Codex CLI's client may be redirected to both, others most likely to the name only.
        let host = if is_standard { RedirectHost::Localhost } else { RedirectHost::Address };
        let listener = match options.manual {
            true => None,
            false => Some(Listener::bind(&options.ports, host).await?),
        };
        let port = listener.as_ref().map_or(options.ports[0], Listener::port);
        let request = AuthorizationRequest::new(host.redirect_uri(port), is_standard)?;
        let (scope, workspaces) = (options.scope.as_deref(), &options.allowed_workspaces);
        let authorization_url =
            server.authorization_url(&request, is_standard, scope, workspaces).await?;
        let begun = Begun { request, authorization_url: Secret::new(authorization_url) };
        let kept = match listener {
            None => Kept::new(&sign_in.state, &begun, &options, timeout(&options)).await?,
            Some(_) => None,
        };
        Ok(Self::wait_for_user(&sign_in, begun, options, listener, kept))
    }

    fn wait_for_user(
        sign_in: &Arc<SignIn>,
        Begun { request, authorization_url }: Begun,
        options: LoginOptions,
        listener: Option<Listener>,
        kept: Option<Kept>,
    ) -> Self {
        let (state, redirect_uri) = (request.state.clone(), request.redirect_uri.clone());
        let (pasted, pastes) = mpsc::channel(1);
        let attempt = Attempt { request, options, listener, kept: kept.clone(), pastes };
        let finisher = Arc::clone(sign_in);
        let pending = PendingLogin::start(&sign_in.state, |signal| async move {
            attempt.finish(&finisher, &signal).await
        });
        Self {
            authorization_url,
            redirect_uri,
            state,
            pasted: NotInherited::new(pasted),
            kept,
            pending,
            #[cfg(feature = "webbrowser")]
            page: Mutex::default(),
        }
    }
}

fn timeout(options: &LoginOptions) -> Duration {
    options.timeout.unwrap_or(TIMEOUT)
}

fn late(timeout: Duration) -> Error {
    let message =
        format!("the user did not sign in within {} seconds; try again", timeout.as_secs());
    Error::new(ErrorKind::LoginTimeout, message)
}
