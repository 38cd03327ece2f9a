//! Where a login is kept. [`AuthStorage`] is the contract of every store.

#[cfg(feature = "cli")]
pub(crate) mod access_copy;
pub(crate) mod agent;
mod auto;
mod busy_file;
pub(crate) mod codex_config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod content;
mod custom;
#[cfg(feature = "encrypted")]
mod encrypted;
pub(crate) mod environment_variable;
mod ephemeral;
mod file;
mod file_calls;
mod file_error;
pub(crate) mod home;
mod home_store;
mod in_place;
mod kept_logins;
pub(crate) mod keyring;
mod lease;
#[cfg(unix)]
mod link_trail;
pub(crate) mod lock_file;
pub(crate) mod lock_holder;
mod mounts;
#[cfg(feature = "cli")]
mod move_id;
pub(crate) mod ownership;
#[cfg(feature = "cli")]
mod parking;
pub(crate) mod plain_file;
#[cfg(feature = "postgres")]
mod postgres;
mod readiness;
pub(crate) mod real_path;
mod replacement;
pub(crate) mod store_kind;
mod target;
pub(crate) mod temp_file;
mod version;

use std::fmt;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::auth_dot_json::{AuthDotJson, ExtraFields, InvalidRecord, TokenData};
use crate::description::StorePlaces;
use crate::environment::BoxFuture;
use crate::error::Result;
pub use crate::ledger::Ledger;
pub use crate::secret::{Fingerprint, InvalidFingerprint};
pub use store_kind::{StoreHolder, StoreKind};

pub use agent::AgentAddress;
pub use auto::AutoStorage;
pub use custom::{CustomStorage, CustomStore, StoreAnswer, StoreFailure, Stored};
#[cfg(feature = "encrypted")]
pub use encrypted::EncryptedStorage;
pub use ephemeral::EphemeralStorage;
pub use file::FileStorage;
pub use kept_logins::{KeptLogin, KeptLogins, Turn};
pub use keyring::{Attendance, Keyring, KeyringItem, KeyringStorage, system_keyring};
#[cfg(feature = "cli")]
pub(crate) use move_id::MoveIdFile;
#[cfg(feature = "cli")]
pub(crate) use parking::Place;
#[cfg(feature = "cli")]
pub(crate) use postgres::{PostgresLogins, Rekeyed, StoredLogin};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStorage};
pub use readiness::Readiness;
pub use version::{Stamp, Version};

/// What names decide, for tests that give files hostile ones.
#[cfg(all(unix, feature = "test-util"))]
pub(crate) mod names {
    pub(crate) use super::home::with_suffix;
    pub(crate) use super::mounts::is_mounted;
    pub(crate) use super::temp_file::{is_name as is_temp_name, remove_all};
}

/// A store of one login.
///
/// Every write is a compare-and-swap on the [`Version`] that a load returned, so that a login or
/// logout by another program is never overwritten. A store is shared by tasks, threads and
/// processes; all methods take `&self`. Futures are polled on this crate's own thread and must not
/// block it for long: a store that blocks moves its calls to threads of its own.
///
/// *Absent is not failed*: a store without a login loads [`Loaded::record`] none; a store that
/// cannot be asked fails with `store_unavailable`.
pub trait AuthStorage: Send + Sync + fmt::Debug {
    /// Where the login is kept, for error messages: a path, say. No secret.
    fn location(&self) -> String;

    /// Reads the record, waiting up to a second for a half-written one to become whole, and for one
    /// that was there and is gone to come back.
    ///
    /// # Errors
    ///
    /// `store_corrupt` if what is stored is no login, and stays none for a second;
    /// `store_unavailable`, `keyring_unavailable` or `keyring_locked` if it cannot be read. "No
    /// record" never stands for any of these.
    fn load(&self) -> BoxFuture<'_, Result<Loaded>>;

    /// Reads the record that a sign-in or a logout of the user replaces. A store that can keep what is
    /// no login aside loads none in its place, with the version by which
    /// [`commit`](Self::commit) and [`delete`](Self::delete) do so. By default this is
    /// [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    fn load_to_replace(&self) -> BoxFuture<'_, Result<Loaded>> {
        self.load()
    }

    /// Reads the record at once; none if that would mean waiting, and [`load`](Self::load) decides.
    fn load_now(&self) -> Option<Result<Loaded>> {
        None
    }

    /// Whether the end of the process waits for a read that is under way, as it does for a save: one
    /// that runs in an interpreter must be over before that ends.
    fn is_read_to_the_end(&self) -> bool {
        false
    }

    /// A cheap mark that differs after most changes; none where the store has no such thing and
    /// must be read to know.
    fn stamp(&self) -> Option<Stamp> {
        None
    }

    /// Waits until a change of what is stored is announced, which may be one that was already loaded.
    /// Callers wait for it no longer than until the next look at the [`stamp`](Self::stamp), since not
    /// each change is announced. By default it never ends.
    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(pending())
    }

    /// Returns the folders in which something changes whenever the stored record does, so that a
    /// caller can ask the system to report changes there; none if the record is not in a folder.
    /// Callers ask again and again: a link may lead to another folder by now.
    fn watched_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Returns a store of the place where the record is now, for a store that links lead to: it stays
    /// there when one of them is moved. By default none: the record is always in one place.
    ///
    /// # Errors
    ///
    /// `store_unavailable` if the links cannot be followed.
    fn resolved(&self) -> BoxFuture<'_, Result<Option<Arc<dyn AuthStorage>>>> {
        Box::pin(async { Ok(None) })
    }

    /// Replaces what is stored if it still has version `expected`, whole or not at all, and
    /// durable before it returns.
    ///
    /// # Errors
    ///
    /// `store_read_only`, `store_unavailable`, `lock_timeout`, `keyring_unavailable`,
    /// `keyring_locked` or `keyring_too_long`; what was stored is still there.
    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>>;

    /// Removes the record if it still has version `expected`.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Self::commit), but for `keyring_too_long`.
    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>>;

    /// Proves that a record of `size` bytes can be committed, by the very way in which it will be.
    /// Called under the refresh lock, right before a refresh token is spent. What the proof left
    /// behind serves the next commit, and is removed with the answer.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Self::commit), each if the commit would fail with it.
    fn ready(&self, size: usize) -> BoxFuture<'_, Result<Readiness>>;

    /// Returns the records that other programs were about to store when they died. Called under the
    /// refresh lock, before [`ready`](Self::ready), which may remove them. By default there are
    /// none.
    ///
    /// # Errors
    ///
    /// `store_unavailable` if the place where they may be cannot be read.
    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<AuthDotJson>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Removes the records that [`leftovers`](Self::leftovers) returns, once their login was signed
    /// out or replaced. Does nothing if the refresh lock is taken: its holder has removed them.
    ///
    /// # Errors
    ///
    /// Those of [`delete`](Self::delete).
    fn remove_leftovers(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Takes the refresh lock if it is free. No manager redeems a token of this store without the
    /// lock. It excludes every other holder on the store, also within this process, and ends with
    /// its holder.
    ///
    /// # Errors
    ///
    /// `store_read_only` or `store_unavailable` where there can be no lock.
    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>>;

    /// What the holders of the refresh lock know of refresh tokens, read without holding it;
    /// unreadable means empty. A store that must wait for it answers what it read at the last
    /// [`load`](Self::load).
    fn ledger(&self) -> Ledger;

    /// Returns the program that renews the login when it is told that an access token was rejected;
    /// none where there is no such program. Such a store has no refresh token.
    fn renewer(&self) -> Option<&dyn Renewer> {
        None
    }

    /// Returns what keeps sign-ins of this login that wait for their users; none where only the process
    /// that began a sign-in can finish it.
    fn kept_logins(&self) -> Option<&dyn KeptLogins> {
        None
    }

    /// Which kind of store held the login when it was last read; none for a store of one kind.
    fn holder(&self) -> Option<StoreHolder> {
        None
    }

    /// Describes where the login is and which locks guard it, for a bug report. It has no secret,
    /// changes nothing, asks the user nothing, and soon ends; at once where
    /// [`load_now`](Self::load_now) does. By default it is empty, and the
    /// [`location`](Self::location) is all that is told.
    fn describe(&self) -> BoxFuture<'_, StorePlaces> {
        Box::pin(async { StorePlaces::default() })
    }
}

/// A program that has the refresh token of a login, and renews its access token when it is asked to.
pub trait Renewer: Send + Sync {
    /// Says that a server has rejected the access token in `rejected`. Returns once the store has
    /// another one for that login, or cannot have one: a manager then reads the store.
    ///
    /// # Errors
    ///
    /// Those of [`AuthManager::refresh_token`](crate::AuthManager::refresh_token).
    fn renew<'a>(&'a self, rejected: &'a AuthDotJson) -> BoxFuture<'a, Result<()>>;
}

/// The refresh lock, held. Dropping it unlocks.
pub trait RefreshLock: Send + Sync + fmt::Debug {
    /// Whether this is still the lock that others see. A lock on what was replaced meanwhile moves on
    /// to what took its place, so the store is read after this, and not before.
    ///
    /// # Errors
    ///
    /// `store_unavailable` where the lock was taken away, for instance with its folder.
    fn check(&self) -> Result<()>;

    /// How long the lock is sure to last, where it ends by itself; none where it lasts until it is
    /// dropped. No request to the token endpoint is begun that could outlast it.
    fn held_for(&self) -> Option<Duration> {
        None
    }

    /// What the holders before have left; unreadable means empty.
    fn ledger(&self) -> Ledger;

    /// Leaves `ledger` for the next holder, durable before it returns: a request with a refresh
    /// token is noted in it before it is sent.
    ///
    /// # Errors
    ///
    /// `store_read_only` or `store_unavailable`; callers carry on without it. A lock that is worth
    /// nothing without its ledger is then [held](Self::held_for) for no time.
    fn set_ledger<'a>(&'a self, ledger: &'a Ledger) -> BoxFuture<'a, Result<()>>;

    /// Removes the record of `storage`, whose lock this is, if it still has version `expected`. A lock
    /// that ends by itself must still be held when the record goes: if it is not, that is a conflict.
    /// By default this is [`AuthStorage::delete`], for a lock that lasts until it is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`AuthStorage::delete`].
    fn delete_from<'a>(
        &'a self,
        storage: &'a dyn AuthStorage,
        expected: &'a Version,
    ) -> BoxFuture<'a, Result<Swap>> {
        storage.delete(expected)
    }
}

/// What a store holds, and as which version.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The record; none where nothing is stored.
    pub record: Option<Arc<AuthDotJson>>,
    /// The version to hand to the next write.
    pub version: Version,
}

impl Loaded {
    /// A `record`, or none, that was read as `version`.
    pub const fn new(record: Option<Arc<AuthDotJson>>, version: Version) -> Self {
        Self { record, version }
    }

    /// What an empty store holds.
    const fn nothing() -> Self {
        Self { record: None, version: Version::absent() }
    }
}

/// What became of a compare-and-swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// The write is done and durable.
    Done,
    /// The store held another version; nothing was written.
    Conflict,
}
