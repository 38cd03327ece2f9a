//! The manager of a login: the methods that use the stored login.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::parts::Parts;
use crate::environment::BoxFuture;
use crate::error::Result;
use crate::refresh::{UnauthorizedRecovery, UnauthorizedRecoveryDecision};
use crate::snapshot::CodexAuth;
use crate::state::{Event, Events, Stats, Subscription, SyncOutcome};
use crate::storage::StoreHolder;
use crate::upkeep::{FollowStore, KeepFresh};

/// Manages a Codex login: hands out snapshots, refreshes the tokens, and recovers from 401.
///
/// Clones share one snapshot in memory, and any number of managers, in any number of processes and
/// languages, may share one store. All methods take `&self` and may be called from any thread, in
/// any async runtime or without one: this crate uses the network on a thread of its own. Dropping a
/// future ends the waiting and not the work: once the authorization server may have rotated the
/// refresh token, the refresh goes on until the new tokens are saved.
///
/// ```no_run
/// use codex_auth_sdk::{AuthManager, UnauthorizedRecoveryDecision};
///
/// # async fn send(_: &codex_auth_sdk::CodexAuth) -> u16 { 200 }
/// # async fn example() -> codex_auth_sdk::Result<()> {
/// let manager = AuthManager::builder().build().await?;
/// let recovery = manager.unauthorized_recovery();
/// while let Some(auth) = manager.fresh_auth().await? {
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
///
/// # Spans
///
/// A subscriber of `tracing` gets these spans, with the target `codex_auth_sdk` and the level
/// `INFO`. They contain no secret and no account. The field `outcome` is recorded at the end: the
/// code of an [`Error`], or one of the words in this table.
///
/// | Name | Covers | `outcome` |
/// |---|---|---|
/// | `codex_auth.recovery` | a call of [`recover_from_unauthorized`](Self::recover_from_unauthorized) | `retry`, or a [`GiveUpReason`](crate::GiveUpReason) |
/// | `codex_auth.refresh` | a refresh, one for all callers that wait for it; `purpose` is `rejected`, `proactive` or `repair`. It follows from the span of the caller that started it | `fresh`, or a [`GiveUpReason`](crate::GiveUpReason) |
/// | `codex_auth.lock_wait` | in a refresh, the wait for the refresh lock, or for the program that renews the login | `locked`, or `answered` by the refresh of another manager or program |
/// | `codex_auth.redemption` | one request to the token endpoint | `granted`, `declined`, `not_spent`, `in_doubt`, or why the server refused the token |
/// | `codex_auth.commit` | a save of refreshed tokens | `saved`, `superseded` |
///
/// [`Error`]: crate::Error
#[derive(Clone)]
pub struct AuthManager {
    pub(super) parts: Arc<Parts>,
}

impl AuthManager {
    /// Returns the snapshot in memory, or none if no login is stored. It does no I/O and takes no
    /// lock.
    pub fn auth(&self) -> Option<CodexAuth> {
        self.parts.state.current.auth()
    }

    /// Returns a snapshot whose access token has not expired, or none if no login is stored.
    ///
    /// If the token expires within the
    /// [`refresh_window`](crate::AuthManagerBuilder::refresh_window), this starts a refresh in the
    /// background and returns the current snapshot at once. Only if the token has expired, or if
    /// the process may end without its exit hooks
    /// ([`waits_at_exit`](crate::environment::Spawner::waits_at_exit)), as programs in Rust on
    /// Windows may, does the caller wait for the refresh. Dropping the future ends the waiting; the
    /// refresh goes on.
    ///
    /// A ChatGPT login without a refresh token is renewed by another program. If its access token
    /// has expired, the caller waits for that program, for
    /// [`winner_wait`](crate::AuthManagerBuilder::winner_wait) at most. With
    /// [`RefreshMode::Never`] the caller waits as long for any ChatGPT login, and gets the expired
    /// token of one that has a refresh token.
    ///
    /// # Errors
    ///
    /// Those of [`refresh_token`](Self::refresh_token), and only if the token has expired; those of
    /// [`reload`](Self::reload) also if no login is in memory.
    ///
    /// [`RefreshMode::Never`]: crate::RefreshMode::Never
    pub async fn fresh_auth(&self) -> Result<Option<CodexAuth>> {
        match self.fresh_auth_if_ready() {
            Some(auth) => Ok(Some(auth)),
            None => self.parts.fresh.auth().await,
        }
    }

    /// Returns what [`fresh_auth`](Self::fresh_auth) would return without waiting.
    ///
    /// Returns none if `fresh_auth` would have to wait, or if no login is stored.
    pub fn fresh_auth_if_ready(&self) -> Option<CodexAuth> {
        self.parts.fresh.auth_if_ready()
    }

    /// Returns a span of the wall clock of this machine. While the clock is in it,
    /// [`fresh_auth`](Self::fresh_auth) returns what [`auth`](Self::auth) returns, unless the
    /// snapshot changes. The span is empty if a refresh is due, and short otherwise, since the clock
    /// may be set at any time.
    ///
    /// Returns none if no refresh will be due: no login is stored, or it is of a kind that is not
    /// refreshed.
    pub fn fresh_span(&self) -> Option<Range<DateTime<Utc>>> {
        self.parts.fresh.span()
    }

    /// Returns the time by the clock of the authorization server; none if that was not measured.
    #[cfg(all(unix, feature = "cli"))]
    pub(crate) fn server_time(&self) -> Option<DateTime<Utc>> {
        let state = &self.parts.state;
        let now = state.environment.moment();
        Some(now.wall() - state.tokens.known_here().time().ahead(&now)?)
    }

    /// Returns whether a login is stored that must not be handed out: one of another workspace than the
    /// option `account_id` names, or one whose tokens name two users.
    #[cfg(all(unix, feature = "cli"))]
    pub(crate) fn hides_login(&self) -> bool {
        self.parts.state.current.peek().is_foreign()
    }

    pub(crate) fn version(&self) -> Arc<AtomicU32> {
        self.parts.state.current.version()
    }

    /// Starts a background task that refreshes the login before it expires.
    ///
    /// It refreshes each access token in the first tenth of the refresh window, which is earlier
    /// than the Codex CLI would. It also adopts logins and logouts of other programs: it reads the
    /// store, and looks at the wall clock, at least every 30 seconds. After an error it tries again
    /// later; after a permanent one it waits until the store holds another credential. An
    /// [event](Self::subscribe) tells of each. With [`RefreshMode::Never`], and for a login without a
    /// refresh token, it only follows the store.
    ///
    /// The task runs until the returned value is stopped or dropped. The end of the process waits
    /// for a refresh that is in flight, and not for this task. A forked child must start its own.
    ///
    /// [`RefreshMode::Never`]: crate::RefreshMode::Never
    pub fn keep_fresh(&self) -> KeepFresh {
        KeepFresh::start(Arc::clone(&self.parts.state), Arc::clone(&self.parts.refresh))
    }

    /// Starts a background task that adopts what other programs store, as soon as they store it.
    ///
    /// Without it, the manager notices a new login, a logout or the refreshed tokens of another
    /// program only when a token has expired or was rejected. For a file the task gets
    /// notifications from the operating system. It also looks at every store once a second, since a
    /// keyring and most network file systems send no notifications. An [event](Self::subscribe)
    /// tells of each adoption. If another program puts a spent refresh token back, as from an older
    /// copy of the file, and the manager has its successor, the task stores that again.
    ///
    /// The task runs until the returned value is stopped or dropped. The end of the process does
    /// not wait for it. A forked child must start its own.
    pub fn follow_store(&self) -> FollowStore {
        FollowStore::start(Arc::clone(&self.parts.state), Arc::clone(&self.parts.refresh))
    }

    /// Reads the store. Returns whether this replaced the snapshot in memory.
    ///
    /// # Errors
    ///
    /// `store_corrupt`, `store_unavailable`, `keyring_unavailable`, `keyring_locked`. The snapshot
    /// in memory then stays.
    pub async fn reload(&self) -> Result<bool> {
        Ok(self.parts.state.reload().await?.changed)
    }

    /// Reads the store and returns how the stored login relates to `auth`.
    ///
    /// The snapshot in memory becomes that of the stored login, whatever the result is.
    ///
    /// # Errors
    ///
    /// Those of [`reload`](Self::reload).
    pub async fn sync_from_storage(&self, auth: &CodexAuth) -> Result<SyncOutcome> {
        Ok(self.parts.refresh.sync(auth).await?.1)
    }

    /// Returns a snapshot with another access token than that of `auth`.
    ///
    /// If another process has refreshed the login already, this adopts its tokens; else it redeems
    /// the stored refresh token. Any number of callers with one rejected token share one refresh.
    /// Returns none if there is no such token for the login of `auth`: no login is stored any more,
    /// another account's login is stored, or the login may not be refreshed. An API key or a
    /// personal access token is not replaced by another one, which may be another account's; but
    /// [`auth`](Self::auth) returns the stored one from then on.
    ///
    /// A login without a refresh token is waited for as by [`fresh_auth`](Self::fresh_auth).
    ///
    /// Dropping the future ends the waiting; the refresh goes on.
    ///
    /// # Errors
    ///
    /// If the user must sign in again: `refresh_token_expired`, `refresh_token_reused`,
    /// `refresh_token_invalidated`, `refresh_token_rejected`. If the caller may try again:
    /// `refresh_transient`, `lock_timeout`, `store_unavailable`, `keyring_unavailable`,
    /// `keyring_locked`. If the store cannot be used, and no token was redeemed: `store_read_only`,
    /// `store_corrupt`, `keyring_too_long`.
    ///
    /// `refresh_transient` has the [reason](crate::Error::reason) `fresh_token_rejected` if the API
    /// rejects tokens that have not expired and several were replaced lately, and `not_refreshable`
    /// if another program renews the login and has not done so yet.
    pub async fn refresh_token(&self, auth: &CodexAuth) -> Result<Option<CodexAuth>> {
        self.parts.refresh.replace(auth).await
    }

    /// Returns the state of one request's recovery from 401. Get a new one for each request.
    pub fn unauthorized_recovery(&self) -> UnauthorizedRecovery {
        UnauthorizedRecovery::default()
    }

    /// Decides what to do about a 401 response to a request that was sent with `auth`.
    ///
    /// [`Retry`](UnauthorizedRecoveryDecision::Retry) means: send the request again with the
    /// snapshot that [`auth`](Self::auth) now returns. The first call for a request adopts tokens
    /// that another program has stored, or refreshes if there are none; the second one refreshes
    /// unless the first one did. So a request is repeated at most twice. A call that fails does not
    /// count.
    ///
    /// Two calls with one `recovery` run one after the other. Dropping the future ends the waiting;
    /// the refresh goes on.
    ///
    /// # Errors
    ///
    /// Those of [`refresh_token`](Self::refresh_token); but `fresh_token_rejected` and
    /// `not_refreshable` are reasons to give up, and no errors.
    pub async fn recover_from_unauthorized(
        &self,
        auth: &CodexAuth,
        recovery: &UnauthorizedRecovery,
    ) -> Result<UnauthorizedRecoveryDecision> {
        self.parts.refresh.recover(auth, recovery).await
    }

    /// Subscribes to the [events](Event) of this manager and its clones, from now on.
    ///
    /// Any number of subscribers get every event. A subscriber that reads slowly delays nothing
    /// else: at most 64 events wait for it, and [`Event::Missed`] says how many were dropped. A
    /// forked child must subscribe for itself.
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

    /// Waits, for `timeout` at most, until no refresh is in flight and all tokens are saved.
    /// Returns whether that is so. The manager stays usable.
    ///
    /// The end of the process waits in the same way by itself, for 10 seconds at most: the return
    /// from `main`, [`std::process::exit`] and a panic in `main`, but not an abort or an unhandled
    /// signal. On Windows [`std::process::exit`] does not wait either: call this first.
    pub async fn close(&self, timeout: Duration) -> bool {
        self.parts.refresh.close(timeout).await
    }

    /// Returns which kind of store held the login at the last read, where the store chooses between
    /// two; none for a store that does not choose.
    pub fn store_holder(&self) -> Option<StoreHolder> {
        self.parts.state.storage.holder()
    }

    /// Returns the counters of this manager and its clones.
    pub fn stats(&self) -> Stats {
        self.parts.state.counters.stats()
    }

    /// Returns whether the manager uses rotated tokens that it could not save yet.
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
