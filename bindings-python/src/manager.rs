//! The blocking manager of a login.

use codex_auth_sdk::AuthManager as Core;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::authorization::RequestAuthorization;
use crate::background::{BackgroundTasks, FollowStore, KeepFresh};
use crate::bridge::{wait, wait_for_user};
use crate::events::{self, Subscription};
use crate::login::{BrowserLogin, DeviceLogin};
use crate::outcomes::{LogoutOutcome, StoreHolder, SyncOutcome};
use crate::recovery::{Decision, UnauthorizedRecovery};
use crate::snapshot::CodexAuth;
use crate::stats::Stats;
use crate::{calls, login_options, options};

/// Manages a Codex login: hands out snapshots, refreshes the tokens, and recovers from 401.
///
/// Any number of managers, in any number of processes and languages, may share one login. All
/// methods may be called from any thread. A method that reads the disk or uses the network lets
/// other threads run, and Ctrl-C ends its waiting. Ctrl-C does not end its work: once the
/// authorization server may have rotated the refresh token, the refresh goes on in the background
/// until the new tokens are saved. The exit of the interpreter waits for that, for 10 seconds at
/// most. A manager that was created before a fork works in the child.
///
/// The constructor reads the store. All options are keywords, and `None` stands for the default.
/// Durations are seconds, as a number, or a `timedelta`.
///
/// - `codex_home`: the folder of the login. Default: `$CODEX_HOME`, else `~/.codex`.
/// - `store`: the place of the login. `codex`, the default, is the store that the Codex CLI uses:
///   `$CODEX_ACCESS_TOKEN` if it is set, else the store that the CLI's `config.toml` names. Other
///   names are `file`, `keyring`, `auto` (the keyring, or a file if there is no keyring),
///   `encrypted`, `ephemeral` (in memory), `postgres://HOST/DATABASE?login=NAME`, a row of a
///   database that any number of hosts share, and `agent`: another program, which has the refresh
///   token and hands out access tokens (`agent:unix:/path`, `agent:http://127.0.0.1:PORT`, or with
///   `#NAME`; default: `$CODEX_AUTH_AGENT`, else the socket of this user's agent). An
///   `EphemeralStorage`, or an object with the methods of `CustomStore`, is a store too.
/// - `login`: the name of the login in a database. Default: what the URL names.
/// - `store_key`: the keys that encrypt a login in a database, each the Base64 of 32 bytes,
///   separated by commas; the first one encrypts. `plaintext` in the place of a key is the way to
///   have no encryption. Default: `$CODEX_AUTH_STORE_KEY`; without a key such a store is an error.
/// - `refresh`: `auto`, the default, or `never`. With `never` the manager redeems no refresh token
///   and only adopts what other programs store.
/// - `account_id`: the id of the only workspace whose login this manager hands out. Default: any.
/// - `refresh_window`: how long before its expiry an access token is refreshed. Default: 10
///   minutes, or half the token's lifetime if that is less.
/// - `winner_wait`: after the server has rejected a refresh token, how long the manager waits for
///   the save of another program that may have redeemed the token; or how long for the program that
///   renews a login which this manager may not refresh. Default: 5 s.
/// - `refresh_deadline`: how long one refresh may take once it has the refresh lock. Default: 45 s.
/// - `request_timeout`: how long one request to the token endpoint may take. Default: 30 s.
/// - `lock_timeout`: how long a refresh waits for the refresh lock while another process holds it.
///   It must exceed `refresh_deadline`. Default: 60 s.
/// - `token_url`: the token endpoint for refreshes. Default: `$CODEX_REFRESH_TOKEN_URL_OVERRIDE`,
///   else `/oauth/token` of the issuer. This and the next two must be `https`, or `http` on
///   loopback.
/// - `revoke_url`: the revocation endpoint (RFC 7009). Default: `$CODEX_REVOKE_TOKEN_URL_OVERRIDE`,
///   else `/oauth/revoke` beside the token endpoint.
/// - `issuer`: the authorization server. Default: `https://auth.openai.com`.
/// - `client_id`: the OAuth client of new logins, and of stored logins whose record names none.
///   Default: `$CODEX_APP_SERVER_LOGIN_CLIENT_ID`, else the Codex CLI's client.
/// - `originator`: the name of the calling program, which ChatGPT requests carry in the header
///   `originator`. Default: `$CODEX_INTERNAL_ORIGINATOR_OVERRIDE`, else `codex_auth_sdk`.
/// - `user_agent`: the `User-Agent` of requests to the authorization server. Default: the
///   originator.
/// - `proxy`: the proxy for `https` requests to the authorization server, by HTTP or SOCKS5, such
///   as `http://user:password@host:port` or `socks5h://host:port`. Default: the proxy that the
///   environment or the system names (`$HTTPS_PROXY`, `$ALL_PROXY`), except for hosts in
///   `$NO_PROXY` and on loopback; one that cannot be used is an error. A proxy that is given here
///   is used for all hosts.
/// - `token_encoding`: the encoding of token requests, `json` (default) or `form`.
/// - `enable_codex_api_key_env`: whether `$CODEX_API_KEY`, if it is set, replaces the stored login.
///   This needs the store `codex`. Default: `False`.
/// - `allowed_origins`: origins (`https://host` or `https://host:port`) to which the integrations
///   with HTTP clients may send the credential, as a list. The origin of the ChatGPT backend for a
///   ChatGPT login, and that of the OpenAI API for an API key, are always allowed.
///
/// Raises `InvalidOption` for a bad value, `TypeError` for a value of a wrong type, `StoreCorrupt`,
/// `StoreUnavailable`, `KeyringUnavailable` and `KeyringLocked`. A store without a login is no
/// error.
///
/// Example:
///     with AuthManager() as manager:
///         recovery = manager.unauthorized_recovery()
///         while (auth := manager.fresh_auth()) is not None:
///             response = send(headers=auth.headers())
///             if response.status != 401:
///                 break
///             decision = manager.recover_from_unauthorized(auth, recovery)
///             if decision is UnauthorizedRecoveryDecision.GIVE_UP:
///                 sys.exit(f"sign in again: {recovery.give_up_reason}")
#[pyclass(frozen, module = "codex_auth_sdk")]
pub(crate) struct AuthManager(Core, BackgroundTasks);

#[pymethods]
impl AuthManager {
    #[new]
    #[pyo3(
        signature = (**options),
        text_signature = "(*, codex_home=None, store=None, login=None, store_key=None, \
            refresh=None, account_id=None, refresh_window=None, winner_wait=None, refresh_deadline=None, request_timeout=None, \
            lock_timeout=None, token_url=None, revoke_url=None, issuer=None, client_id=None, \
            originator=None, user_agent=None, proxy=None, token_encoding=None, \
            enable_codex_api_key_env=None, allowed_origins=None)"
    )]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let core = wait(py, calls::build(options::builder(options)?))?;
        Ok(Self(core, BackgroundTasks::default()))
    }

    /// Creates a manager that does not read its store.
    ///
    /// It is for a program that signs in or out over a file that holds no login, for which the
    /// constructor raises `StoreCorrupt`; what that file holds is kept beside it then. The manager
    /// has no snapshot until it reads or stores a login. The options are those of the constructor.
    ///
    /// Raises `InvalidOption` and `TypeError`.
    ///
    /// Example:
    ///     try:
    ///         manager = AuthManager()
    ///     except StoreCorrupt:
    ///         manager = AuthManager.open_unread()
    ///         manager.login_with_api_key(key)
    #[staticmethod]
    #[pyo3(signature = (**options))]
    fn open_unread(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let core = options::build_unread(py, options)?;
        Ok(Self(core, BackgroundTasks::default()))
    }

    /// Returns the snapshot in memory, or `None` if no login is stored. It never blocks.
    fn auth(&self) -> Option<CodexAuth> {
        self.0.auth().map(CodexAuth)
    }

    /// Returns a snapshot whose access token has not expired, or `None` if no login is stored.
    ///
    /// If the token expires within `refresh_window`, this starts a refresh in the background and
    /// returns the current snapshot at once. Only if the token has expired does the caller wait for
    /// the refresh, and always in a child of `multiprocessing` or celery, which may be killed.
    /// A login without a refresh token is renewed by another program: then the caller
    /// waits for that one, for `winner_wait` at most.
    ///
    /// Raises the errors of `refresh_token`, and only if the token has expired.
    fn fresh_auth(&self, py: Python<'_>) -> PyResult<Option<CodexAuth>> {
        match self.0.fresh_auth_if_ready() {
            Some(auth) => Ok(Some(CodexAuth(auth))),
            None => wait(py, calls::fresh_auth(self.0.clone())),
        }
    }

    /// Returns what `fresh_auth` would return without waiting.
    ///
    /// Returns `None` if `fresh_auth` would have to wait, or if no login is stored.
    fn fresh_auth_if_ready(&self) -> Option<CodexAuth> {
        self.0.fresh_auth_if_ready().map(CodexAuth)
    }

    /// Reads the store. Returns whether this replaced the snapshot in memory.
    ///
    /// Raises `StoreCorrupt`, `StoreUnavailable`, `KeyringUnavailable` or `KeyringLocked`; the
    /// snapshot in memory then stays.
    fn reload(&self, py: Python<'_>) -> PyResult<bool> {
        wait(py, calls::reload(self.0.clone()))
    }

    /// Reads the store and returns how the stored login relates to `auth`.
    ///
    /// The snapshot in memory becomes that of the stored login, whatever the result is.
    ///
    /// Raises the errors of `reload`.
    fn sync_from_storage(&self, py: Python<'_>, auth: &CodexAuth) -> PyResult<SyncOutcome> {
        wait(py, calls::sync_from_storage(self.0.clone(), auth.clone()))
    }

    /// Returns a snapshot with another access token than that of `auth`.
    ///
    /// If another process has refreshed the login already, this adopts its tokens; else it redeems
    /// the stored refresh token. Any number of callers with one rejected token share one refresh.
    /// Returns `None` if there is no such token for the login of `auth`: no login is stored any
    /// more, another account's login is stored, or the login may not be refreshed. A key is not
    /// replaced by another one, which may be another account's; but `auth()` returns the stored one
    /// from then on.
    ///
    /// Raises `RefreshTokenError` if the user must sign in again, `TransientError`
    /// (`RefreshTransient`, `LockTimeout`, `StoreUnavailable`, `KeyringUnavailable` or
    /// `KeyringLocked`) if the caller may try again, after `retry_after` seconds if that is set,
    /// and `StoreReadOnly`, `StoreCorrupt` or `KeyringTooLong` if the store cannot be used; no
    /// token was redeemed then. Ctrl-C raises `KeyboardInterrupt`, and the refresh goes on.
    fn refresh_token(&self, py: Python<'_>, auth: &CodexAuth) -> PyResult<Option<CodexAuth>> {
        wait(py, calls::refresh_token(self.0.clone(), auth.clone()))
    }

    /// Returns the authorization of a request to `url`, for HTTP integrations.
    ///
    /// `authorization` is the request's own `Authorization` header, if it has one. Returns `None`
    /// if the manager must leave the request alone: it has such a header, or its origin is neither
    /// that of the ChatGPT backend or the OpenAI API nor one of `allowed_origins`. A request whose
    /// bearer token is `MANAGED_API_KEY` always gets an authorization, which raises
    /// `OriginNotAllowed` if need be. This method never blocks.
    #[pyo3(signature = (url, authorization=None))]
    fn authorize(&self, url: &str, authorization: Option<&str>) -> Option<RequestAuthorization> {
        self.0.authorize(url, authorization.map(str::as_bytes)).map(RequestAuthorization)
    }

    /// Returns the recovery state of one request. Get a new one for each request.
    fn unauthorized_recovery(&self) -> UnauthorizedRecovery {
        UnauthorizedRecovery(self.0.unauthorized_recovery())
    }

    /// Decides what to do about a 401 response to a request that was sent with `auth`.
    ///
    /// Returns `RETRY` if the request is to be sent again with the snapshot that `auth()` now
    /// returns. Returns `GIVE_UP` if the 401 is final; `recovery.give_up_reason` says why. The
    /// first call for a request adopts tokens that another program has stored, or refreshes if
    /// there are none; the second one refreshes unless the first one did. So a request is repeated
    /// at most twice. A call that raises does not count.
    ///
    /// Raises the errors of `refresh_token`; but `fresh_token_rejected` and `not_refreshable` are
    /// reasons to give up, and no errors.
    fn recover_from_unauthorized(
        &self,
        py: Python<'_>,
        auth: &CodexAuth,
        recovery: &UnauthorizedRecovery,
    ) -> PyResult<Decision> {
        let (auth, recovery) = (auth.clone(), recovery.clone());
        wait(py, calls::recover_from_unauthorized(self.0.clone(), auth, recovery))
    }

    /// Starts a background task that refreshes the login before it expires.
    ///
    /// It refreshes each access token once that enters the refresh window, earlier than the Codex
    /// CLI would, and adopts logins and logouts of other programs. After an error it tries again
    /// later. It runs until `stop` of the returned object is called or the manager is garbage. The
    /// exit of the interpreter does not wait for it. A forked child must start its own.
    fn keep_fresh(&self) -> KeepFresh {
        self.1.keep_fresh(&self.0)
    }

    /// Starts a background task that adopts what other programs store, as soon as they store it.
    ///
    /// Without it, the manager notices a new login, a logout or refreshed tokens of another program
    /// only when a token has expired or was rejected. For a file the task gets notifications from
    /// the operating system; any store is read once a second as well. A spent refresh token that
    /// another program puts back gives way to its successor again, if the manager has that. The
    /// task runs until `stop` of the returned object is called or the manager is garbage. A forked
    /// child must start its own.
    fn follow_store(&self) -> FollowStore {
        self.1.follow_store(&self.0)
    }

    /// Calls `callback` with each `Event` from now on.
    ///
    /// The calls come from another thread, one after the other, until `stop` of the returned object
    /// is called, or that object or the manager is garbage. An exception that the callback raises
    /// goes to `sys.unraisablehook`. A slow callback delays nothing else: at most 64 events wait
    /// for it, then the oldest are dropped and an event of the kind `missed` says how many. At most
    /// 16 callbacks run at once, of all managers of a process. A forked child must subscribe for
    /// itself.
    fn subscribe(&self, callback: Py<PyAny>) -> Subscription {
        events::subscribe(&self.0, callback)
    }

    /// Returns the counters of this manager.
    fn stats(&self) -> Stats {
        self.0.stats().into()
    }

    /// Describes this manager for a bug report, as a dict that `json.dumps` takes.
    ///
    /// It says which store keeps the login and why, where its files are, which processes hold its
    /// locks, what the login in memory is, and what is known of its refresh token. It has no token,
    /// no key and no email address. The call changes no login, and does not have the user unlock a
    /// keyring; macOS may ask the user by itself. What cannot be told within seconds is left out.
    /// `enable_logging` logs the description of each new manager at DEBUG, without the ids of
    /// account and user.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let json = wait(py, calls::describe(self.0.clone()))?;
        py.import("json")?.call_method1("loads", (json,))
    }

    /// Starts a sign-in with a browser: an authorization code with PKCE (RFC 8252, RFC 7636).
    ///
    /// The user opens `authorization_url` of the returned object, whose `wait` returns once the
    /// login is stored. The new login replaces the stored one when the sign-in is complete; a
    /// sign-in that fails or is cancelled changes nothing. All options are keywords, and `None`
    /// stands for the default.
    ///
    /// - `allowed_workspaces`: the ids of the workspaces whose logins are accepted. Default: any.
    ///   Name them where it is known whose login is wanted: then no person who gets hold of the
    ///   authorization URL can sign this program in to an account of his own.
    /// - `revoke_replaced`: whether to revoke the replaced login once the new one is saved. Servers
    ///   may end all sessions of the account with it, the new one too. Default: `False`.
    /// - `timeout`: how long to wait for the user, in seconds or as a `timedelta`. Default: 10
    ///   minutes.
    /// - `ports`: the ports of this machine that the browser may be redirected to; the first free
    ///   one is used. 0 is any free port. Default: 1455 and 1457, which the Codex CLI's client has
    ///   registered. The redirect names 127.0.0.1, and `localhost` with the protocol `standard`;
    ///   then the port must be free on ::1 too.
    /// - `manual`: whether the browser runs on another machine. Then no port is opened, and the
    ///   user pastes the address at which the browser arrives, for `complete`. Default: `False`.
    /// - `protocol`: `codex`, the default, for what Codex's authorization server understands, or
    ///   `standard` for OpenID Connect at the endpoints that the issuer publishes.
    /// - `scope`: the requested scope. Default: the usual one of the protocol.
    /// - `id_token_validation`: whether to validate the id token's signature and claims:
    ///   `where_published` (default: if the issuer publishes its keys), `required` or `off`.
    ///
    /// Raises `InvalidOption`, `TypeError`; `LoginPortBusy`; `LoginFailed` or `LoginTransient` if
    /// the issuer's endpoints cannot be read; and `LockTimeout` or a `StoreError` if the store
    /// could not save a login.
    ///
    /// Example:
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

    /// Starts a sign-in with a device code (RFC 8628): the user types the code in on any device.
    ///
    /// The user opens `verification_uri` of the returned object and types its `user_code`; its
    /// `wait` returns once the login is stored. The new login replaces the stored one when the
    /// sign-in is complete; a sign-in that fails or is cancelled changes nothing. The options are
    /// those of `login_with_browser` without `ports` and `manual`. The code's lifetime bounds
    /// `timeout`. Each time the server answers that the user has not typed the code in yet, the
    /// manager sends an event `login_pending`.
    ///
    /// Raises `LoginNotSupported` if the server has no device codes, and the errors of
    /// `login_with_browser`.
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

    /// Goes on with the manual sign-in with a browser whose `id` this is.
    ///
    /// Another manager of this login has begun it, in this process or in another one, which may
    /// have ended. `complete` of the returned object finishes it, in one process only. The options
    /// are those that it was begun with.
    ///
    /// Raises `NotSupportedByStore` if the store keeps no sign-ins, `LoginCancelled` if the sign-in
    /// has ended or is another login's, `LoginFailed` if it is no such sign-in, `StoreUnavailable`
    /// if its state is not what was stored, and the errors of `login_with_browser`.
    fn resume_login_with_browser(
        &self,
        py: Python<'_>,
        sign_in_id: String,
    ) -> PyResult<BrowserLogin> {
        wait_for_user(py, calls::resume_login_with_browser(self.0.clone(), sign_in_id))
    }

    /// Goes on with the sign-in with a device code whose `id` this is.
    ///
    /// Another manager of this login has begun it, in this process or in another one, which may
    /// have ended. Any number of processes may wait for the user: together they ask the server as
    /// often as one, and one of them stores the login.
    ///
    /// Raises the errors of `resume_login_with_browser`.
    fn resume_login_with_device_code(
        &self,
        py: Python<'_>,
        sign_in_id: String,
    ) -> PyResult<DeviceLogin> {
        wait_for_user(py, calls::resume_login_with_device_code(self.0.clone(), sign_in_id))
    }

    /// Stores an API key as the login and returns its snapshot. No server checks the key.
    ///
    /// Raises `LoginInvalidCredential` if the text cannot be an API key, `LoginWorkspaceNotAllowed`
    /// if the manager has the option `account_id`, and `SaveFailed`.
    fn login_with_api_key(
        &self,
        py: Python<'_>,
        api_key: &Bound<'_, PyAny>,
    ) -> PyResult<CodexAuth> {
        let api_key = options::secret("api_key", api_key)?;
        wait(py, calls::login_with_api_key(self.0.clone(), api_key))
    }

    /// Stores a personal access token, or the token of an agent, as the login.
    ///
    /// Returns the snapshot of the login. No server checks the token.
    ///
    /// Raises the errors of `login_with_api_key`.
    fn login_with_access_token(
        &self,
        py: Python<'_>,
        access_token: &Bound<'_, PyAny>,
    ) -> PyResult<CodexAuth> {
        let access_token = options::secret("access_token", access_token)?;
        wait(py, calls::login_with_access_token(self.0.clone(), access_token))
    }

    /// Removes the login from the store.
    ///
    /// With `revoke`, the default, the manager first asks the authorization server to revoke the
    /// tokens, which may end other sessions of the account; the login is removed even if that
    /// fails. A refresh that is in flight in any process does not bring the login back.
    ///
    /// Raises `IdentityMismatch` if the store now holds another account's login, which stays unless
    /// `any_account` is true, and `LockTimeout` or a `StoreError` if the store cannot be changed.
    #[pyo3(signature = (*, revoke=true, any_account=false))]
    fn logout(&self, py: Python<'_>, revoke: bool, any_account: bool) -> PyResult<LogoutOutcome> {
        wait(py, calls::logout(self.0.clone(), options::logout(revoke, any_account)))
    }

    /// Waits until no refresh is in flight and all tokens are saved. Returns whether that is so.
    ///
    /// It waits for `timeout` at most, in seconds or as a `timedelta`. Default: 10 s. The manager
    /// can be used afterwards. Leaving a `with` block calls this.
    #[pyo3(signature = (timeout=None))]
    fn close(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        wait(py, calls::close(self.0.clone(), options::close_timeout(timeout)?))
    }

    /// The kind of store that held the login when it was last read, for a store that chooses.
    ///
    /// Only `auto` chooses. `None` for other stores.
    #[getter]
    fn store_holder(&self) -> Option<StoreHolder> {
        self.0.store_holder().map(StoreHolder::from)
    }

    /// Whether the manager uses refreshed tokens that it could not save yet.
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
