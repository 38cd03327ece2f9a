//! The login as an item in the keyring of the operating system, where the Codex CLI keeps it too.

mod item;
mod late;
#[cfg(any(test, feature = "test-util"))]
pub(crate) mod memory;
#[cfg(any(target_os = "macos", windows))]
mod native;
mod prompts;
#[cfg(all(unix, not(target_os = "macos")))]
mod secret_service;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use self::late::Writing;
use self::prompts::Turn;
use super::file::{Target, commit_locks, read_ledger, try_refresh_lock, version_of};
use super::{AuthStorage, Loaded, Readiness, RefreshLock, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::secret::Secret;

pub use item::KeyringItem;
pub use prompts::Prompts;

/// How long a read waits for the keyring, and for its user where it asks to be unlocked.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a question is thought to be on the user's screen. It is not taken back: to dismiss it
/// ends gnome-keyring 42.1, and it does no harm to answer it late.
const LONGEST_QUESTION: Duration = Duration::from_secs(600);

/// How long one call may take while the commit locks are held: the Codex CLI throws its own tokens
/// away where it waits 5 s for them.
const PATIENCE_UNDER_LOCKS: Duration = Duration::from_secs(1);

/// The keyring of the operating system.
///
/// Calls may take as long as they like, or never return: who calls gives up in time, and dropping
/// the future must be safe. None of them asks the user for anything, but [`unlock`](Self::unlock).
///
/// All of them fail with `keyring_unavailable` where there is no keyring or it does not work, and
/// with `keyring_locked` where its user must unlock it first.
pub trait Keyring: Send + Sync + fmt::Debug {
    /// What `item` holds; none where there is no such item.
    fn get<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<Option<Secret>>>;

    /// Makes `item` hold `value`, in place where there is such an item.
    ///
    /// # Errors
    ///
    /// Also `keyring_too_long` where the keyring takes no value of this length.
    fn set<'a>(&'a self, item: &'a KeyringItem, value: &'a Secret) -> BoxFuture<'a, Result<()>>;

    /// Removes `item` if it is there.
    fn delete<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>>;

    /// Asks the user to unlock what `item` is in, or is to be made in.
    fn unlock<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>>;

    /// When its user was asked last; the same for all that are one keyring to the user.
    fn prompts(&self) -> &Prompts;

    /// Shows that `item` can be set: that it, or else what it is to be made in, is there and
    /// unlocked. By default only that it can be read.
    fn ready<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.get(item).await.map(drop) })
    }

    /// The most bytes that a value may have, where there is such a limit.
    fn longest_value(&self) -> Option<usize> {
        None
    }
}

/// The keyring of this machine: the Secret Service of the desktop session, the keychain of macOS,
/// the credential manager of Windows. It is connected to by the first call.
pub fn system_keyring() -> Arc<dyn Keyring> {
    #[cfg(all(unix, not(target_os = "macos")))]
    return Arc::new(secret_service::SecretServiceKeyring::default());
    #[cfg(any(target_os = "macos", windows))]
    return Arc::new(native::NativeKeyring);
}

/// A keyring with an end to its patience.
#[derive(Debug, Clone)]
pub(super) struct PatientKeyring {
    keyring: Arc<dyn Keyring>,
    environment: Environment,
}

impl PatientKeyring {
    pub(super) fn new(keyring: Arc<dyn Keyring>, environment: Environment) -> Self {
        Self { keyring, environment }
    }

    /// What `item` holds, once its user has unlocked the keyring if need be.
    pub(super) async fn get(&self, item: &KeyringItem) -> Result<Option<Secret>> {
        let found = self.within(PATIENCE, self.keyring.get(item)).await;
        match found {
            Err(error) if error.kind() == ErrorKind::KeyringLocked => {
                let unlocked = self.get_unlocked(item, &error);
                let found = self.environment.within(PATIENCE, unlocked).await;
                found.unwrap_or(Err(error.clone()))
            }
            found => {
                if matches!(found, Ok(Some(_))) {
                    self.keyring.prompts().forget();
                }
                found
            }
        }
    }

    /// Asks the user, who is left in peace for a while after a refusal; else fails with `locked`.
    async fn get_unlocked(&self, item: &KeyringItem, locked: &Error) -> Result<Option<Secret>> {
        let turn = self.keyring.prompts().turn(self.environment.clock.now()).await;
        let (sender, answer) = oneshot::channel();
        let question = self.clone().ask(item.clone(), turn.ok_or_else(|| locked.clone())?);
        let question = async move { drop(sender.send(question.await)) };
        // Nobody waits for it any longer than a reader does, but the user may still answer it.
        let started = self.environment.spawner.spawn_read(Box::pin(question));
        started.map_err(|_| locked.clone())?;
        answer.await.unwrap_or_else(|_| Err(locked.clone()))?;
        self.keyring.get(item).await
    }

    async fn ask(self, item: KeyringItem, turn: Turn) -> Result<()> {
        let unlock = self.keyring.unlock(&item);
        let answer = self.environment.within(LONGEST_QUESTION, unlock).await;
        let is_unlocked = answer.as_ref().is_some_and(Result::is_ok);
        turn.end(is_unlocked, self.environment.clock.now());
        answer.unwrap_or(Ok(()))
    }

    /// The same without asking anybody, for holders of the commit locks.
    pub(super) async fn get_under_locks(&self, item: &KeyringItem) -> Result<Option<Secret>> {
        self.within_locks(self.keyring.get(item)).await
    }

    /// Fails where `item` could not be set.
    async fn prove_ready(&self, item: &KeyringItem) -> Result<()> {
        self.within(PATIENCE_UNDER_LOCKS, self.keyring.ready(item)).await
    }

    #[cfg(feature = "encrypted")]
    pub(super) async fn set_under_locks(&self, item: &KeyringItem, value: &Secret) -> Result<()> {
        self.within_locks(self.keyring.set(item, value)).await
    }

    #[cfg(feature = "encrypted")]
    pub(super) async fn delete_under_locks(&self, item: &KeyringItem) -> Result<()> {
        self.within_locks(self.keyring.delete(item)).await
    }

    /// Makes `item` hold `value`, or removes it, however long that takes.
    async fn write(&self, item: &KeyringItem, value: Option<&Secret>) -> Result<()> {
        match value {
            Some(value) => self.keyring.set(item, value).await,
            None => self.keyring.delete(item).await,
        }
    }

    /// What `call` answers while the commit locks may be held for it.
    async fn within_locks<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.within(PATIENCE_UNDER_LOCKS, call).await
    }

    pub(super) fn check_length(&self, size: usize) -> Result<()> {
        match self.keyring.longest_value() {
            Some(longest) if size > longest => Err(Error::new(
                ErrorKind::KeyringTooLong,
                format!(
                    "the login takes {size} bytes, and the keyring no more than {longest}; use \
                     the store `file` or `encrypted`"
                ),
            )),
            _ => Ok(()),
        }
    }

    async fn within<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let answer = self.environment.within(patience, call).await;
        answer.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::KeyringUnavailable,
                format!("the keyring has not answered for {patience:?}; try again"),
            ))
        })
    }
}

/// The login of a `CODEX_HOME` in the keyring.
///
/// The item is the Codex CLI's: each finds and replaces the other's. Writes happen under the CLI's
/// two commit locks and by compare-and-swap, as with `auth.json`, which is removed once the keyring
/// holds the record.
#[derive(Debug, Clone)]
pub struct KeyringStorage {
    home: PathBuf,
    /// `auth.json`, which a record in the keyring takes the place of.
    path: PathBuf,
    environment: Environment,
    keyring: PatientKeyring,
    item: KeyringItem,
    writing: Writing,
}

impl KeyringStorage {
    /// The store of the folder `codex_home`, which is resolved to its real path if it exists.
    pub fn new(
        codex_home: impl AsRef<Path>,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        let codex_home = codex_home.as_ref();
        let home = codex_home.canonicalize().unwrap_or_else(|_| codex_home.to_owned());
        Self {
            path: home.join("auth.json"),
            item: KeyringItem::login(&home),
            keyring: PatientKeyring::new(keyring, environment.clone()),
            home,
            environment,
            writing: Writing::default(),
        }
    }

    /// The item that holds the login.
    pub fn item(&self) -> &KeyringItem {
        &self.item
    }

    fn read(&self, value: Option<&Secret>) -> Result<Loaded> {
        let Some(value) = value else { return Ok(Loaded::nothing()) };
        let bytes = value.expose().as_bytes();
        let record = AuthDotJson::parse(bytes).map_err(|invalid| {
            Error::new(
                ErrorKind::StoreCorrupt,
                format!(
                    "{} does not hold a Codex login: {invalid}; remove it and sign in again",
                    self.location()
                ),
            )
        })?;
        Ok(Loaded { record: Some(Arc::new(record)), version: version_of(bytes) })
    }

    async fn load_item(&self) -> Result<Loaded> {
        let value = self.keyring.get(&self.item).await?;
        self.writing.saw(value.as_ref());
        self.read(value.as_ref())
    }

    async fn swap(&self, expected: &Version, record: Option<&AuthDotJson>) -> Result<Swap> {
        let target = Target::resolve(&self.path)?;
        let _locks = commit_locks(&self.home, &target, &self.environment).await?;
        if self.version_under_locks().await? != *expected {
            return Ok(Swap::Conflict);
        }
        self.replace_under_locks(record).await?;
        remove_file(&self.path);
        Ok(Swap::Done)
    }

    /// Fails where the keyring would not take `record`.
    pub(super) fn check_length(&self, record: &AuthDotJson) -> Result<()> {
        self.keyring.check_length(record.to_json().expose().len())
    }

    async fn prove_ready(&self, size: usize) -> Result<Readiness> {
        self.keyring.check_length(size)?;
        let target = Target::resolve(&self.path)?;
        drop(commit_locks(&self.home, &target, &self.environment).await?);
        self.version_under_locks().await?;
        self.keyring.prove_ready(&self.item).await?;
        Ok(Readiness::default())
    }
}

/// Removes the `auth.json` whose place another store has taken. Best effort, as with the CLI: the
/// other store is what is read.
pub(super) fn remove_file(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "auth.json could not be removed; another store holds the login");
        }
        _ => {}
    }
}

impl AuthStorage for KeyringStorage {
    fn location(&self) -> String {
        format!("the keyring's item {}", self.item)
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.load_item())
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(self.swap(expected, Some(record)))
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(self.swap(expected, None))
    }

    fn ready(&self, size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(self.prove_ready(size))
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(async { try_refresh_lock(&self.home, &self.path) })
    }

    fn ledger(&self) -> Ledger {
        read_ledger(&self.home, &self.path)
    }
}
