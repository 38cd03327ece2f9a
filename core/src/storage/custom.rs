//! Stores that a program brings along: three methods, and a lock if they have one.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::lease::{self, Lease};
use super::{AuthStorage, EphemeralStorage, Loaded, Readiness, RefreshLock, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::secret::Secret;

/// How long one call may take. What takes longer is an error, and its answer is not waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a lock that others hold is left alone: asking for it may cost a call over a network.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Why a custom store failed, in its own words: the source of a `store_unavailable`.
pub type StoreFailure = Box<dyn StdError + Send + Sync>;

/// The answer of a custom store.
pub type StoreAnswer<'a, T> = BoxFuture<'a, Result<T, StoreFailure>>;

/// What a custom store holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stored {
    /// The text that was saved, as it is.
    pub record: Secret,
    /// The name of this state of the store; no secret.
    pub version: String,
}

impl Stored {
    /// The text `record`, which was saved as `version`.
    pub fn new(record: Secret, version: impl Into<String>) -> Self {
        Self { record, version: version.into() }
    }
}

/// A store of one login in a place of your own, such as a row of a database.
///
/// [`CustomStorage`] makes an [`AuthStorage`] of it. A record is JSON text of which a store knows
/// nothing; a version is any text, and another one after every save. `expected` is the version that
/// a load returned, none for "nothing is stored". Comparing it and writing is one step, so that no
/// other writer comes in between, in whatever process.
///
/// A call that has not answered within 15 s is given up, but may still have its effect. A failure
/// is `store_unavailable` with [`StoreFailure`] as its source.
///
/// **Without a lock, one redemption is guaranteed within one process only.** Two processes that
/// refresh at the same time may then present the same refresh token; the loser finds the winner's
/// tokens in the store, unless the server revokes the login when a spent token is presented. What
/// holders of the refresh lock note for each other is kept in memory, per process. Whether the
/// store can be written shows with the save only; what could not be saved is used, and saved later.
///
/// ```
/// use codex_auth_sdk::environment::Environment;
/// use codex_auth_sdk::storage::{CustomStorage, CustomStore, StoreAnswer, Stored};
/// use codex_auth_sdk::{AuthManager, Secret};
/// use std::sync::{Arc, Mutex};
///
/// /// A row in memory, by the number of its saves.
/// #[derive(Debug, Default)]
/// struct Row(Mutex<(u64, Option<Secret>)>);
///
/// impl Row {
///     fn swap(&self, record: Option<&Secret>, expected: Option<&str>) -> bool {
///         let mut row = self.0.lock().expect("no panic");
///         let version = row.1.is_some().then(|| row.0.to_string());
///         if version.as_deref() != expected {
///             return false;
///         }
///         *row = (row.0 + 1, record.cloned());
///         true
///     }
/// }
///
/// impl CustomStore for Row {
///     fn location(&self) -> String {
///         "the row of this example".to_owned()
///     }
///
///     fn load(&self) -> StoreAnswer<'_, Option<Stored>> {
///         let row = self.0.lock().expect("no panic");
///         let stored = row.1.clone().map(|record| Stored::new(record, row.0.to_string()));
///         Box::pin(async { Ok(stored) })
///     }
///
///     fn save<'a>(
///         &'a self,
///         record: &'a Secret,
///         expected: Option<&'a str>,
///     ) -> StoreAnswer<'a, bool> {
///         Box::pin(async move { Ok(self.swap(Some(record), expected)) })
///     }
///
///     fn delete<'a>(&'a self, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
///         Box::pin(async move { Ok(self.swap(None, expected)) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> codex_auth_sdk::Result<()> {
/// let storage = CustomStorage::new(Arc::new(Row::default()), Environment::default());
/// let manager = AuthManager::builder().storage(Arc::new(storage)).build().await?;
/// assert!(manager.auth().is_none());
/// # Ok(())
/// # }
/// ```
pub trait CustomStore: Send + Sync + fmt::Debug {
    /// Where the login is kept, for error messages. No secret.
    fn location(&self) -> String;

    /// What is stored; none for nothing.
    fn load(&self) -> StoreAnswer<'_, Option<Stored>>;

    /// Stores `record` if the store still has version `expected`, durable before it answers;
    /// whether it did.
    fn save<'a>(&'a self, record: &'a Secret, expected: Option<&'a str>) -> StoreAnswer<'a, bool>;

    /// Removes the record if the store still has version `expected`; whether it did.
    fn delete<'a>(&'a self, expected: Option<&'a str>) -> StoreAnswer<'a, bool>;

    /// Takes a lock that excludes all other processes, if it is free; whether it was. It lasts
    /// until [`unlock`](Self::unlock), at least for the `refresh_deadline` where it is no
    /// [lease](Self::lease), and ends with its process. Never called while this process has the lock.
    fn try_lock(&self) -> StoreAnswer<'_, bool> {
        Box::pin(async { Ok(true) })
    }

    /// How long the lock lasts where it ends by itself unless it is renewed; none where it does not.
    /// A request to the token endpoint is begun only where the lock is sure to last for as long.
    fn lease(&self) -> Option<Duration> {
        None
    }

    /// Makes the lock last for another [lease](Self::lease) from now on, if this process still has
    /// it; whether it has. Called after each quarter of the lease, while the lock is needed: as long
    /// as refreshed tokens could not be saved, say.
    fn renew(&self) -> StoreAnswer<'_, bool> {
        Box::pin(async { Ok(true) })
    }

    /// Gives the lock back; no failure where it is not held. The call is under way when this
    /// returns: a `try_lock` that follows comes after it.
    fn unlock(&self) -> StoreAnswer<'static, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A custom store as a store for managers. All managers of a process that use one [`CustomStore`]
/// must share one of these, by clones: they exclude each other by it.
#[derive(Debug, Clone)]
pub struct CustomStorage {
    store: Arc<dyn CustomStore>,
    environment: Environment,
    /// Holds no login: only the lock within this process, and its ledger.
    process: EphemeralStorage,
}

impl CustomStorage {
    /// A store for managers that keeps the login in `store`.
    pub fn new(store: Arc<dyn CustomStore>, environment: Environment) -> Self {
        Self { store, environment, process: EphemeralStorage::default() }
    }

    /// What `answer` comes to, in time.
    async fn ask<T>(&self, what: &str, answer: StoreAnswer<'_, T>) -> Result<T> {
        let failed = |how: String| {
            let location = self.store.location();
            Error::new(ErrorKind::StoreUnavailable, format!("{location} {how}"))
        };
        match self.environment.within(PATIENCE, answer).await {
            Some(answer) => answer.map_err(|failure| {
                failed(format!("failed to {what}; the cause is its own")).with_source(failure)
            }),
            None => Err(failed(format!("has not answered to {what} for {PATIENCE:?}; try again"))),
        }
    }

    async fn load_record(&self) -> Result<Loaded> {
        let Some(stored) = self.ask("load", self.store.load()).await? else {
            return Ok(Loaded { record: None, version: Version::absent() });
        };
        let record = AuthDotJson::parse(stored.record.expose().as_bytes()).map_err(|invalid| {
            let location = self.store.location();
            Error::new(
                ErrorKind::StoreCorrupt,
                format!("{location} does not hold a Codex login: {invalid}"),
            )
        })?;
        Ok(Loaded { record: Some(Arc::new(record)), version: Version::named(&stored.version) })
    }

    async fn try_both_locks(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        let Some(process) = self.process.try_lock().await? else { return Ok(None) };
        // Made before the answer: a lock that is had too late must be given back, too.
        let mut lock = CustomLock { storage: self.clone(), process, is_held: true, lease: None };
        let start = self.environment.clock.boot_time();
        lock.is_held = self.ask("try_lock", self.store.try_lock()).await?;
        if lock.is_held {
            lock.lease = self.begin_lease(start)?;
            return Ok(Some(Box::new(lock)));
        }
        drop(lock);
        self.environment.clock.sleep(LOCK_PAUSE).await;
        Ok(None)
    }

    /// Keeps a lock that is a lease, and was asked for at `start`, from ending.
    fn begin_lease(&self, start: Duration) -> Result<Option<Arc<Lease>>> {
        let Some(length) = self.store.lease() else { return Ok(None) };
        let lease = Lease::begun(start, length);
        let storage = self.clone();
        let renew = move || {
            let storage = storage.clone();
            async move { storage.ask("renew", storage.store.renew()).await }
        };
        let keeping =
            lease::keep(Arc::downgrade(&lease), self.location(), renew, self.environment.clone());
        self.environment.spawner.spawn_read(Box::pin(keeping)).map_err(|error| {
            let message = format!("a thread could not be started: {error}; try again");
            Error::new(ErrorKind::StoreUnavailable, message)
        })?;
        Ok(Some(lease))
    }
}

fn swap(is_done: bool) -> Swap {
    if is_done { Swap::Done } else { Swap::Conflict }
}

impl AuthStorage for CustomStorage {
    fn location(&self) -> String {
        self.store.location()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.load_record())
    }

    fn is_read_to_the_end(&self) -> bool {
        true
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async {
            let record = record.to_json();
            self.ask("save", self.store.save(&record, expected.name())).await.map(swap)
        })
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async { self.ask("delete", self.store.delete(expected.name())).await.map(swap) })
    }

    fn ready(&self, _size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(async { self.load_record().await.map(|_| Readiness::default()) })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(self.try_both_locks())
    }

    fn ledger(&self) -> Ledger {
        self.process.ledger()
    }
}

#[derive(Debug)]
struct CustomLock {
    storage: CustomStorage,
    process: Box<dyn RefreshLock>,
    is_held: bool,
    /// None where the lock does not end by itself.
    lease: Option<Arc<Lease>>,
}

impl RefreshLock for CustomLock {
    fn check(&self) -> Result<()> {
        if self.held_for() != Some(Duration::ZERO) {
            return Ok(());
        }
        let location = self.storage.store.location();
        Err(Error::new(
            ErrorKind::StoreUnavailable,
            format!("the lock of {location} was lost; nothing is redeemed without it, try again"),
        ))
    }

    fn held_for(&self) -> Option<Duration> {
        let now = self.storage.environment.clock.boot_time();
        self.lease.as_ref().map(|lease| lease.left(now))
    }

    fn ledger(&self) -> Ledger {
        self.process.ledger()
    }

    fn set_ledger<'a>(&'a self, ledger: &'a Ledger) -> BoxFuture<'a, Result<()>> {
        self.process.set_ledger(ledger)
    }
}

impl Drop for CustomLock {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        let storage = self.storage.clone();
        let unlocked = storage.store.unlock();
        // On a thread of our own, so that an exit waits for it.
        let task = async move {
            if let Err(error) = storage.ask("unlock", unlocked).await {
                tracing::warn!(%error, "the lock of a custom store was not given back");
            }
        };
        if let Err(error) = self.storage.environment.spawner.spawn(Box::pin(task)) {
            tracing::warn!(%error, "the lock of a custom store was not given back");
        }
    }
}
