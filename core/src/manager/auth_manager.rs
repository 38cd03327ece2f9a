//! The owner of a login: what a program asks of it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::parts::Parts;
use crate::environment::BoxFuture;
use crate::error::Result;
use crate::login::{
    BrowserLogin, DeviceLogin, LoginOptions, LogoutOptions, LogoutOutcome, access_token_record,
    api_key_record,
};
use crate::refresh::{UnauthorizedRecovery, UnauthorizedRecoveryDecision};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::state::{Event, Events, Stats, Subscription, SyncOutcome};
use crate::storage::StoreHolder;
use crate::upkeep::{FollowStore, KeepFresh};

/// Owns a Codex login: hands out snapshots of it, keeps it fresh, and recovers from 401.
///
/// Clones share one login, and any number of managers, in any number of processes, may share a
/// store. All methods take `&self` and may be called from any thread and any async runtime, or
/// none: what touches the network runs on a thread of this crate's own, so dropping a future never
/// stops a refresh whose token the server has already rotated.
///
/// # Spans
///
/// For subscribers of `tracing`, all with the target `codex_auth_sdk`, the level `INFO` and a field
/// `outcome`, which is recorded at the end: one of these codes, or that of an [`Error`]. There are
/// no secrets and no account in them.
///
/// | Name | What | `outcome` |
/// |---|---|---|
/// | `codex_auth.recovery` | a call of [`recover_from_unauthorized`](Self::recover_from_unauthorized) | `retry`, or a [`GiveUpReason`](crate::GiveUpReason) |
/// | `codex_auth.refresh` | a refresh, one for all who wait for it; `purpose` is `rejected`, `proactive` or `repair`. It follows from the span in which it was started | `fresh`, or a [`GiveUpReason`](crate::GiveUpReason) |
/// | `codex_auth.lock_wait` | in a refresh, the way to its turn | `locked`, or `answered` by somebody else's refresh |
/// | `codex_auth.redemption` | one request to the token endpoint | `granted`, `declined`, `not_spent`, `in_doubt`, or why it was refused |
/// | `codex_auth.commit` | a save of refreshed tokens | `saved`, `superseded` |
///
/// [`Error`]: crate::Error
///
/// ```no_run
/// use codex_auth_sdk::{AuthManager, UnauthorizedRecoveryDecision};
/// # async fn send(_: &codex_auth_sdk::CodexAuth) -> u16 { 200 }
/// # async fn example() -> codex_auth_sdk::Result<()> {
/// let manager = AuthManager::builder().build().await?;
/// let recovery = manager.unauthorized_recovery();
/// while let Some(auth) = manager.auth() {
///     if send(&auth).await != 401 {
///         break;
///     }
///     match manager.recover_from_unauthorized(&auth, &recovery).await? {
///         UnauthorizedRecoveryDecision::Retry => {}
///         decision => panic!("sign in again: {decision:?}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AuthManager {
    pub(super) parts: Arc<Parts>,
}

impl AuthManager {
    /// The snapshot in memory; none while nobody is signed in. No I/O and no lock.
    pub fn auth(&self) -> Option<CodexAuth> {
        self.parts.state.current.auth()
    }

    /// The snapshot, refreshed first where needed. While the token is still valid a due refresh
    /// runs in the background and the current snapshot is returned at once; only an expired token
    /// makes the caller wait. None while nobody is signed in.
    ///
    /// Dropping the future ends the waiting, not the refresh.
    ///
    /// # Errors
    ///
    /// Those of [`refresh_token`](Self::refresh_token), and only for an expired token.
    pub async fn fresh_auth(&self) -> Result<Option<CodexAuth>> {
        match self.fresh_auth_if_ready() {
            Some(auth) => Ok(Some(auth)),
            None => self.parts.fresh.auth().await,
        }
    }

    /// What [`fresh_auth`](Self::fresh_auth) would return at once; none if it would have to wait,
    /// or if nobody is signed in.
    pub fn fresh_auth_if_ready(&self) -> Option<CodexAuth> {
        self.parts.fresh.auth_if_ready()
    }

    /// While the wall clock of this machine is in this span, [`fresh_auth`](Self::fresh_auth) is
    /// [`auth`](Self::auth), unless the [`version`](Self::version) changes. It is empty where the
    /// token is due, and short otherwise, since the clock may be set at any time. None where that is
    /// always so: while nobody is signed in, and for what is not refreshed.
    pub fn fresh_span(&self) -> Option<Range<DateTime<Utc>>> {
        self.parts.fresh.span()
    }

    pub(crate) fn version(&self) -> Arc<AtomicU32> {
        self.parts.state.current.version()
    }

    /// Does what [`fresh_auth`](Self::fresh_auth) does in the background, on this crate's own
    /// thread, without anybody asking: the token is refreshed once it is due, and logins and
    /// logouts by others are followed. What is returned ends it when it is stopped or dropped.
    ///
    /// The store is read and the wall clock looked at every 30 seconds at least. A refresh starts in
    /// the first tenth of the refresh window, and well before that of the Codex CLI, so that no CLI
    /// on the machine has to. Nothing ends it: after a failure it tries again later, after a
    /// permanent one it waits for another credential. [`subscribe`](Self::subscribe) tells of both.
    /// A manager that may not refresh only follows the store.
    ///
    /// The end of a program waits for a refresh in flight, and not for this. A forked child has to
    /// ask for its own.
    pub fn keep_fresh(&self) -> KeepFresh {
        KeepFresh::start(Arc::clone(&self.parts.state), Arc::clone(&self.parts.refresh))
    }

    /// Has the snapshot in memory follow the store, on this crate's own thread: a rotation, a login
    /// or a logout by another program is adopted at once, without a request failing first. What is
    /// returned ends it when it is stopped or dropped; [`subscribe`](Self::subscribe) tells of what
    /// was adopted.
    ///
    /// For a file the system tells of changes in its folder. The store is looked at every second
    /// besides, since a keyring tells nobody, nor do most file systems of a network.
    ///
    /// The end of a program does not wait for it. A forked child has to ask for its own.
    pub fn follow_store(&self) -> FollowStore {
        FollowStore::start(&self.parts.state)
    }

    /// Reads the store; whether the snapshot in memory was replaced.
    ///
    /// # Errors
    ///
    /// `store_corrupt` or `store_unavailable`; the snapshot stays what it was.
    pub async fn reload(&self) -> Result<bool> {
        Ok(self.parts.state.follow_store().await?.changed)
    }

    /// Reads the store and says how what it holds relates to `auth`. The snapshot in memory
    /// follows the store whatever the answer is.
    ///
    /// # Errors
    ///
    /// `store_corrupt` or `store_unavailable`.
    pub async fn sync_from_storage(&self, auth: &CodexAuth) -> Result<SyncOutcome> {
        Ok(self.parts.refresh.sync(auth).await?.1)
    }

    /// Gets a token in the place of `auth`'s: the store's, if somebody has refreshed it already,
    /// else by redeeming the stored refresh token. None where there is nothing to get for this
    /// login: it was logged out, replaced by another account's, or may not be refreshed.
    ///
    /// Any number of callers with one token share one refresh. Dropping the future ends the
    /// waiting, not the refresh.
    ///
    /// # Errors
    ///
    /// Permanent: `refresh_token_expired`, `refresh_token_reused`, `refresh_token_invalidated`,
    /// `refresh_token_rejected`. Transient: `refresh_transient`, `lock_timeout`,
    /// `store_unavailable`. Nothing was spent: `store_read_only`, `store_corrupt`.
    pub async fn refresh_token(&self, auth: &CodexAuth) -> Result<Option<CodexAuth>> {
        self.parts.refresh.replace(auth).await
    }

    /// The state of one request's recovery; make a new one for every request.
    pub fn unauthorized_recovery(&self) -> UnauthorizedRecovery {
        UnauthorizedRecovery::default()
    }

    /// What to do about a 401 that a request with `auth` got: retry with [`auth`](Self::auth), or
    /// give up. The first call adopts what another program has stored, the next one refreshes; a
    /// request therefore needs at most two retries.
    ///
    /// A call that fails does not use up the recovery. Two calls with one recovery run one after
    /// the other. Dropping the future ends the waiting, not the refresh.
    ///
    /// # Errors
    ///
    /// Those of [`refresh_token`](Self::refresh_token).
    pub async fn recover_from_unauthorized(
        &self,
        auth: &CodexAuth,
        recovery: &UnauthorizedRecovery,
    ) -> Result<UnauthorizedRecoveryDecision> {
        self.parts.refresh.recover(auth, recovery).await
    }

    /// Begins to sign in with a browser: RFC 8252, an authorization code with PKCE (RFC 7636), and a
    /// redirect to this machine. The user goes to
    /// [`authorization_url`](BrowserLogin::authorization_url); what is returned waits for them.
    ///
    /// The new login takes the place of whatever is stored when it is complete, and not before: a
    /// sign-in that is cancelled or fails changes nothing. A refresh in flight in any process does
    /// not undo it. From the end of the program, or in a forked child, nobody goes on with it.
    ///
    /// # Errors
    ///
    /// `login_port_busy`; `login_failed` and `login_transient` where the protocol is the standard
    /// one; `store_read_only`, `store_corrupt`, `store_unavailable`, `lock_timeout` where the login
    /// could not be saved.
    ///
    /// ```no_run
    /// use codex_auth_sdk::{AuthManager, LoginOptions};
    ///
    /// # async fn example() -> codex_auth_sdk::Result<()> {
    /// let manager = AuthManager::builder().build().await?;
    /// let login = manager.login_with_browser(LoginOptions::default()).await?;
    /// println!("Open {}", login.authorization_url());
    /// println!("Signed in as {:?}", login.wait().await?.email());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn login_with_browser(&self, options: LoginOptions) -> Result<BrowserLogin> {
        BrowserLogin::begin(&self.parts.sign_in, options).await
    }

    /// Begins to sign in on another device: its user types the
    /// [`user_code`](DeviceLogin::user_code) in at the
    /// [`verification_uri`](DeviceLogin::verification_uri). Otherwise as
    /// [`login_with_browser`](Self::login_with_browser). [`subscribe`](Self::subscribe) tells each
    /// time that the server was asked in vain.
    ///
    /// # Errors
    ///
    /// `login_not_supported` where the server has no device codes, else those of
    /// [`login_with_browser`](Self::login_with_browser).
    pub async fn login_with_device_code(&self, options: LoginOptions) -> Result<DeviceLogin> {
        DeviceLogin::begin(&self.parts.sign_in, options).await
    }

    /// Stores a login by API key. Nobody is asked whether the key is good.
    ///
    /// # Errors
    ///
    /// `login_invalid_credential` where it cannot be a key, `login_workspace_not_allowed` where the
    /// manager is for one account, `save_failed`.
    pub async fn login_with_api_key(&self, api_key: &Secret) -> Result<CodexAuth> {
        self.parts.sign_in.store(api_key_record(api_key)?, &LoginOptions::default()).await
    }

    /// Stores a login by personal access token, or by the token of an agent. Nobody is asked
    /// whether it is good.
    ///
    /// # Errors
    ///
    /// Those of [`login_with_api_key`](Self::login_with_api_key).
    pub async fn login_with_access_token(&self, access_token: &Secret) -> Result<CodexAuth> {
        self.parts.sign_in.store(access_token_record(access_token)?, &LoginOptions::default()).await
    }

    /// Removes the login from the store, and asks the server to revoke it first unless told not to.
    /// Revoking is best effort and may end other sessions of the account.
    ///
    /// A refresh in flight in any process does not bring the login back.
    ///
    /// # Errors
    ///
    /// `identity_mismatch` where the store holds another account's login than this manager, which
    /// is left alone unless the options say otherwise; `store_read_only`, `store_unavailable`, `lock_timeout`.
    pub async fn logout(&self, options: LogoutOptions) -> Result<LogoutOutcome> {
        self.parts.sign_out.run(options).await
    }

    /// What happens to the login from now on, for those who want to know without asking. Any number
    /// of subscribers, each gets every event. A manager that nobody subscribed to pays nothing for
    /// it, and a slow subscriber holds nothing up.
    ///
    /// ```
    /// use codex_auth_sdk::storage::{AuthDotJson, EphemeralStorage};
    /// use codex_auth_sdk::{AuthManager, Event, LogoutOptions};
    /// use std::sync::Arc;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let login = AuthDotJson::parse(br#"{"OPENAI_API_KEY": "sk-1"}"#)?;
    /// let storage = Arc::new(EphemeralStorage::new(Some(login)));
    /// let manager = AuthManager::builder().storage(storage).build().await?;
    /// let mut events = manager.subscribe();
    /// manager.logout(LogoutOptions::default()).await?;
    /// drop(manager);
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::SaveFailed(error) => eprintln!("free some space: {error}"),
    ///         event => println!("{}", event.kind()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self) -> Events {
        self.parts.state.subscribe()
    }

    pub(crate) fn deliver_events(
        &self,
        deliver: impl FnMut(Event) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Subscription {
        self.parts.state.deliver_events(deliver)
    }

    /// Waits for refreshes in flight and tokens that are still to be saved; whether all are done.
    /// The manager stays usable.
    ///
    /// The end of a program waits for the same without being asked, for 10 seconds at most: the
    /// end of `main`, [`std::process::exit`] and a panic in `main`, but neither an abort nor a
    /// signal that nobody handles.
    pub async fn close(&self, timeout: Duration) -> bool {
        self.parts.refresh.close(timeout).await
    }

    /// Which kind of store held the login when it was last read, and why not the preferred one;
    /// none for a store that does not choose.
    pub fn store_holder(&self) -> Option<StoreHolder> {
        self.parts.state.storage.holder()
    }

    /// What this manager and its clones have done so far.
    pub fn stats(&self) -> Stats {
        self.parts.state.counters.stats()
    }

    /// Whether rotated tokens are in use that could not be saved yet.
    pub fn pending_save(&self) -> bool {
        self.parts.state.memory.has_unsaved()
    }
}

impl fmt::Debug for AuthManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthManager")
            .field("storage", &self.parts.state.storage)
            .field("auth", &self.auth())
            .finish_non_exhaustive()
    }
}
