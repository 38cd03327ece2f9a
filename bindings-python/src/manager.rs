//! The blocking manager.

use codex_auth_sdk::{AuthManager as Core, LogoutOptions};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::authorization::RequestAuthorization;
use crate::background::{FollowStore, KeepFresh, Kept};
use crate::bridge::{wait, wait_for_user};
use crate::events::{self, Subscription};
use crate::login::{BrowserLogin, DeviceLogin};
use crate::outcomes::{LogoutOutcome, StoreHolder, SyncOutcome};
use crate::recovery::{Decision, UnauthorizedRecovery};
use crate::snapshot::CodexAuth;
use crate::stats::Stats;
use crate::{calls, login_options, options};

/// Owns a Codex login: hands out snapshots of it, keeps it fresh, and recovers from 401.
///
/// Any number of managers, in any number of processes and languages, may share a login. All
/// methods may be called from any thread; those that touch the disk or the network let other
/// threads run, and Ctrl-C ends their waiting. It never ends the work: a refresh whose token the
/// server has rotated goes on in the background until the new tokens are saved, at the exit of the
/// interpreter for up to 10 seconds. A manager made before a fork works in the child.
///
/// The constructor reads the store. All options are keywords; `None` is the default.
///
/// - `codex_home`: the folder of the login; default `$CODEX_HOME`, else `~/.codex`.
/// - `store`: `codex` (default: what the Codex CLI uses, `$CODEX_ACCESS_TOKEN` if that is set, else
///   what its `config.toml` says), `file`, `keyring`, `auto`, `encrypted`, `ephemeral`, an
///   `EphemeralStorage`, or an object of your own with `load`, `save` and `delete`: see
///   `CustomStore`.
/// - `refresh`: `auto` (default), or `never` to adopt what other programs store and redeem nothing.
/// - `account_id`: the only account whose login is ever handed out.
/// - `refresh_window`: how long before its end a token is refreshed; default 10 minutes, or half
///   the token's life if that is less.
/// - `winner_wait`: how long a refusal is doubted, in case another program is about to save what
///   it got for the token; default 5 s.
/// - `refresh_deadline`: the bound on one refresh; default 45 s.
/// - `request_timeout`: the bound on one request to the token endpoint; default 30 s.
/// - `lock_timeout`: how long to wait for another program's refresh; default 60 s. It must exceed
///   `refresh_deadline`.
/// - `token_url`, `revoke_url`, `issuer`: the authorization server; `https`, or `http` on loopback.
/// - `client_id`: the OAuth client of the login; default the Codex CLI's.
/// - `originator`: the name of your program in requests.
/// - `user_agent`: what token requests name as their `User-Agent`; default the originator.
/// - `proxy`: the proxy of token requests by https, `http://user:password@host:port`; default what
///   the environment (`$HTTPS_PROXY`, `$ALL_PROXY`, but for `$NO_PROXY` and loopback) or the system
///   says. It takes the place of all of these.
/// - `token_encoding`: `json` (default) or `form`.
/// - `enable_codex_api_key_env`: whether `$CODEX_API_KEY`, if it is set, takes the place of the
///   stored login, where `store` is `codex`; default `False`.
/// - `allowed_origins`: a list of origins (`https://host`, `https://host:port`) that requests by
///   `HttpxAuth` and `RequestsAuth` may take the credential to, besides those of the ChatGPT backend
///   for a ChatGPT login and of the API for an API key.
///
/// Durations are seconds, as a number, or a `timedelta`.
///
/// Raises `InvalidOption` for a bad value, `TypeError` for one of a wrong type, `StoreCorrupt`,
/// `StoreUnavailable`. That nobody is signed in is no error.
///
/// Example:
///
///     with AuthManager() as manager:
///         recovery = manager.unauthorized_recovery()
///         while (auth := manager.auth()) is not None:
///             response = send(headers=auth.headers())
///             if response.status != 401:
///                 break
///             decision = manager.recover_from_unauthorized(auth, recovery)
///             if decision is UnauthorizedRecoveryDecision.GIVE_UP:
///                 sys.exit(f"sign in again: {recovery.give_up_reason}")
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct AuthManager(Core, Kept);

#[pymethods]
impl AuthManager {
    #[new]
    #[pyo3(
        signature = (**options),
        text_signature = "(*, codex_home=None, store=None, refresh=None, account_id=None, \
            refresh_window=None, winner_wait=None, refresh_deadline=None, request_timeout=None, \
            lock_timeout=None, token_url=None, revoke_url=None, issuer=None, client_id=None, \
            originator=None, user_agent=None, proxy=None, token_encoding=None, \
            enable_codex_api_key_env=None, allowed_origins=None)"
    )]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let core = wait(py, calls::build(options::builder(options)?))?;
        Ok(Self(core, Kept::default()))
    }

    /// The snapshot in memory; `None` while nobody is signed in. No I/O, no lock, no waiting.
    fn auth(&self) -> Option<CodexAuth> {
        self.0.auth().map(CodexAuth)
    }

    /// The snapshot, refreshed first where needed; `None` while nobody is signed in. While the
    /// token is still valid a due refresh runs in the background and the current snapshot is
    /// returned at once; only an expired token makes the caller wait.
    ///
    /// Raises what `refresh_token` raises, and only for an expired token.
    fn fresh_auth(&self, py: Python<'_>) -> PyResult<Option<CodexAuth>> {
        match self.0.fresh_auth_if_ready() {
            Some(auth) => Ok(Some(CodexAuth(auth))),
            None => wait(py, calls::fresh_auth(self.0.clone())),
        }
    }

    /// What `fresh_auth` would return at once; `None` if it would have to wait, or if nobody is
    /// signed in.
    fn fresh_auth_if_ready(&self) -> Option<CodexAuth> {
        self.0.fresh_auth_if_ready().map(CodexAuth)
    }

    /// Reads the store; whether the snapshot in memory was replaced.
    ///
    /// Raises `StoreCorrupt` or `StoreUnavailable`; the snapshot then stays what it was.
    fn reload(&self, py: Python<'_>) -> PyResult<bool> {
        wait(py, calls::reload(self.0.clone()))
    }

    /// Reads the store and says how the login in it relates to `auth`. The snapshot in memory
    /// follows the store whatever the answer is.
    ///
    /// Raises `StoreCorrupt` or `StoreUnavailable`.
    fn sync_from_storage(&self, py: Python<'_>, auth: &CodexAuth) -> PyResult<SyncOutcome> {
        wait(py, calls::sync_from_storage(self.0.clone(), auth.clone()))
    }

    /// Gets a token in the place of `auth`'s: the store's, if somebody has refreshed it already,
    /// else by redeeming the stored refresh token. `None` where there is nothing to get for this
    /// login: it was logged out, replaced by another account's, or may not be refreshed. Any
    /// number of callers with one token share one refresh.
    ///
    /// Raises `RefreshTokenError` (sign in again); `TransientError`, that is `RefreshTransient`,
    /// `LockTimeout` or `StoreUnavailable` (try again, after `retry_after` seconds where that is
    /// set); `StoreReadOnly` or `StoreCorrupt` (nothing was spent). Ctrl-C raises
    /// `KeyboardInterrupt` and the refresh goes on.
    fn refresh_token(&self, py: Python<'_>, auth: &CodexAuth) -> PyResult<Option<CodexAuth>> {
        wait(py, calls::refresh_token(self.0.clone(), auth.clone()))
    }

    /// The authorization of a request to `url`, for HTTP integrations. `None` where it gets none: it
    /// has an `Authorization` header (`authorization`) of its own, or goes to an origin that is
    /// neither the ChatGPT backend's nor the API's nor one of `allowed_origins`. A request whose
    /// bearer is `MANAGED_API_KEY` always gets one, or an error. No I/O, no lock.
    #[pyo3(signature = (url, authorization=None))]
    fn authorize(&self, url: &str, authorization: Option<&str>) -> Option<RequestAuthorization> {
        self.0.authorize(url, authorization.map(str::as_bytes)).map(RequestAuthorization)
    }

    /// The state of one request's recovery; get a new one for every request.
    fn unauthorized_recovery(&self) -> UnauthorizedRecovery {
        UnauthorizedRecovery(self.0.unauthorized_recovery())
    }

    /// What to do about a 401 that a request with `auth` got: `RETRY` with what `auth()` returns
    /// now, or `GIVE_UP`, for the reason that `recovery.give_up_reason` names. The first call
    /// adopts what another program has stored, the next one refreshes; a request therefore needs
    /// at most two retries. A call that raises does not use up the recovery.
    ///
    /// Raises what `refresh_token` raises.
    fn recover_from_unauthorized(
        &self,
        py: Python<'_>,
        auth: &CodexAuth,
        recovery: &UnauthorizedRecovery,
    ) -> PyResult<Decision> {
        let (auth, recovery) = (auth.clone(), recovery.clone());
        wait(py, calls::recover_from_unauthorized(self.0.clone(), auth, recovery))
    }

    /// Does what `fresh_auth` does in the background, without anybody asking: the token is refreshed
    /// once it is due, well before the Codex CLI would, and logins and logouts by others are
    /// followed. Nothing ends it but `stop()` of what is returned, or the end of the manager, which
    /// keeps its last one alive. The exit of the interpreter does not wait for it; a forked child has
    /// to ask for its own.
    fn keep_fresh(&self) -> KeepFresh {
        self.1.keep_fresh(&self.0)
    }

    /// Has the snapshot in memory follow the store: a rotation, a login or a logout by another
    /// program is adopted at once, without a request failing first. For a file the system tells of
    /// changes; the store is looked at every second besides. It ends as `keep_fresh` does.
    fn follow_store(&self) -> FollowStore {
        self.1.follow_store(&self.0)
    }

    /// Calls `callback` with every `Event` from now on, one after the other, in a thread that is not
    /// the caller's, until `stop()` of what is returned, or until that or the manager is gone. What
    /// it raises goes to `sys.unraisablehook`. A slow callback holds nothing up: at most 64 events
    /// wait, then the oldest give way and an event `missed` tells how many. A forked child has to
    /// subscribe for itself.
    fn subscribe(&self, callback: Py<PyAny>) -> Subscription {
        events::subscribe(&self.0, callback)
    }

    /// What this manager has done so far, in numbers.
    fn stats(&self) -> Stats {
        self.0.stats().into()
    }

    /// Begins to sign in with a browser. The user goes to `authorization_url` of what is returned,
    /// which waits for them.
    ///
    /// The new login takes the place of whatever is stored when it is complete, and not before: a
    /// sign-in that is cancelled or fails changes nothing. All options are keywords; `None` is the
    /// default.
    ///
    /// - `allowed_workspaces`: the workspaces (account ids) whose logins are accepted; default any.
    /// - `revoke_replaced`: whether the login that the new one takes the place of is revoked; default
    ///   `False`, since servers may end the new one with it.
    /// - `timeout`: how long to wait for the user, in seconds or as a `timedelta`; default 10 minutes.
    /// - `ports`: the ports of 127.0.0.1 that the browser may come back to, of which the first free
    ///   one is taken; default those of the Codex CLI's client, 1455 and 1457. 0 is any.
    /// - `manual`: whether the browser is elsewhere and comes back to nobody: the user pastes the
    ///   address that it ends up at, for `complete`. Default `False`.
    /// - `protocol`: `codex` (default), or `standard` for OpenID Connect at the endpoints that the
    ///   `issuer` publishes.
    /// - `scope`: the scope, if it is not the protocol's usual one.
    /// - `id_token_validation`: `where_published` (default: where the issuer publishes its keys),
    ///   `required` or `off`.
    ///
    /// Raises `InvalidOption`, `TypeError`, `LoginPortBusy`; `LoginFailed` and `LoginTransient` where
    /// the protocol is the standard one; `StoreReadOnly`, `StoreCorrupt`, `StoreUnavailable`,
    /// `LockTimeout` where the login could not be saved.
    ///
    /// Example:
    ///
    ///     with manager.login_with_browser() as login:
    ///         print(f"Open {login.authorization_url}")
    ///         print(f"Signed in as {login.wait().email}")
    #[pyo3(
        signature = (**options),
        text_signature = "($self, *, allowed_workspaces=None, revoke_replaced=None, timeout=None, \
            ports=None, manual=None, protocol=None, scope=None, id_token_validation=None)"
    )]
    fn login_with_browser(
        &self,
        py: Python<'_>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<BrowserLogin> {
        wait_for_user(
            py,
            calls::login_with_browser(self.0.clone(), login_options::browser(options)?),
        )
    }

    /// Begins to sign in on another device: its user types `user_code` of what is returned in at
    /// `verification_uri`. Otherwise as `login_with_browser`, whose options it has but for `ports`
    /// and `manual`; the `timeout` is at most the life of the code. An event `login_pending` tells each
    /// time that the server was asked in vain.
    ///
    /// Raises `LoginNotSupported` where the server has no device codes, else what
    /// `login_with_browser` raises.
    #[pyo3(
        signature = (**options),
        text_signature = "($self, *, allowed_workspaces=None, revoke_replaced=None, timeout=None, \
            protocol=None, scope=None, id_token_validation=None)"
    )]
    fn login_with_device_code(
        &self,
        py: Python<'_>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<DeviceLogin> {
        wait_for_user(
            py,
            calls::login_with_device_code(self.0.clone(), login_options::device(options)?),
        )
    }

    /// Stores a login by API key, and returns its snapshot. Nobody is asked whether the key is good.
    ///
    /// Raises `LoginInvalidCredential` where it cannot be a key, `LoginWorkspaceNotAllowed` where the
    /// manager is for one account, `SaveFailed`.
    fn login_with_api_key(
        &self,
        py: Python<'_>,
        api_key: &Bound<'_, PyAny>,
    ) -> PyResult<CodexAuth> {
        let api_key = options::secret("api_key", api_key)?;
        wait(py, calls::login_with_api_key(self.0.clone(), api_key))
    }

    /// Stores a login by personal access token, or by the token of an agent, and returns its
    /// snapshot. Nobody is asked whether it is good.
    ///
    /// Raises what `login_with_api_key` raises.
    fn login_with_access_token(
        &self,
        py: Python<'_>,
        access_token: &Bound<'_, PyAny>,
    ) -> PyResult<CodexAuth> {
        let access_token = options::secret("access_token", access_token)?;
        wait(py, calls::login_with_access_token(self.0.clone(), access_token))
    }

    /// Removes the login from the store; with `revoke` the server is asked to revoke it first,
    /// which is best effort and may end other sessions of the account. A refresh in flight in any
    /// process does not bring the login back.
    ///
    /// Raises `IdentityMismatch` where the store holds another account's login by now, which is
    /// left alone unless `any_account` is true; `StoreReadOnly`, `StoreUnavailable`, `LockTimeout`.
    #[pyo3(signature = (*, revoke=true, any_account=false))]
    fn logout(&self, py: Python<'_>, revoke: bool, any_account: bool) -> PyResult<LogoutOutcome> {
        wait(py, calls::logout(self.0.clone(), LogoutOptions { revoke, any_account }))
    }

    /// Waits, at most `timeout` (seconds or a `timedelta`; default 10 s), for refreshes in flight
    /// and tokens that are still to be saved; whether all are done. The manager stays usable.
    /// Leaving a `with` block does the same.
    #[pyo3(signature = (timeout=None))]
    fn close(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        wait(py, calls::close(self.0.clone(), options::close_timeout(timeout)?))
    }

    /// Which kind of store held the login when it was last read, and why not the preferred one;
    /// `None` for a store that does not choose.
    #[getter]
    fn store_holder(&self) -> Option<StoreHolder> {
        self.0.store_holder().map(StoreHolder::from)
    }

    /// Whether rotated tokens are in use that could not be saved yet.
    #[getter]
    fn pending_save(&self) -> bool {
        self.0.pending_save()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py, None).map(drop)
    }

    fn __repr__(&self) -> String {
        match self.auth() {
            Some(auth) => format!("<AuthManager of {}>", auth.__repr__()),
            None => "<AuthManager without a login>".to_owned(),
        }
    }
}
