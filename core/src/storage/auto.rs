//! The keyring where it works, else `auth.json`: the Codex CLI's `auto`, without its ways of losing
//! a login.

mod preferred;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use self::preferred::{Preferred, Write};
#[cfg(feature = "encrypted")]
use super::encrypted::EncryptedStorage;
use super::home::Home;
use super::keyring::{Keyring, KeyringStorage};
use super::store_kind::StoreKind;
use super::target::Target;
use super::{AuthStorage, FileStorage, Loaded, Readiness, RefreshLock, StoreHolder, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Identity, IdentityMatch};
use crate::ledger::Ledger;

/// The login of a `CODEX_HOME` in the keyring, or in `auth.json` where the keyring does not work.
///
/// Loading changes neither place. Where both hold a record of one login, the one that was refreshed
/// last counts; where they hold two logins, the keyring's, as with the CLI. A save writes the
/// keyring and removes the file, unless that holds another login. While the keyring cannot be
/// reached, what the file holds is adopted, and redeemed only if the keyring is known to hold no
/// login: else a newer one may be waiting there. A login that the keyring does not take is kept in
/// the file, as long as the keyring holds none.
#[derive(Debug)]
pub struct AutoStorage {
    home: Home,
    keyring: Preferred,
    file: FileStorage,
    is_keyring_empty: Arc<Knowledge>,
    /// The refresh lock, while it is held through this store.
    lock: ArcSwapOption<Weak<dyn RefreshLock>>,
    holder: ArcSwapOption<StoreHolder>,
}

/// Whether the keyring holds no login; none while this process has not seen it.
#[derive(Debug, Default)]
struct Knowledge(ArcSwapOption<bool>);

impl Knowledge {
    fn learn(&self, is_empty: bool) {
        self.0.store(Some(Arc::new(is_empty)));
    }

    fn get(&self) -> Option<bool> {
        self.0.load().as_deref().copied()
    }
}

/// What both places hold, or why they cannot be asked.
struct Places {
    keyring: Result<Loaded>,
    file: Result<Loaded>,
}

impl AutoStorage {
    /// The store of the folder `codex_home`, which is resolved at each use and need not exist: the
    /// first login that is saved makes it.
    pub fn new(
        codex_home: impl AsRef<Path>,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        let home = Home::of(codex_home.as_ref(), environment.clone());
        let keyring = KeyringStorage::in_home(home.clone(), keyring, environment.clone());
        Self::prefer(Preferred::Keyring(keyring), home, environment)
    }

    /// A store that prefers the encrypted file to an item of the keyring with the whole login.
    #[cfg(feature = "encrypted")]
    pub fn encrypted(store: EncryptedStorage) -> Self {
        let (home, environment) = (store.home().clone(), store.environment().clone());
        Self::prefer(Preferred::Encrypted(store), home, environment)
    }

    fn prefer(keyring: Preferred, home: Home, environment: Environment) -> Self {
        Self {
            file: FileStorage::in_home(home.clone(), environment),
            home,
            keyring,
            is_keyring_empty: Arc::default(),
            lock: ArcSwapOption::empty(),
            holder: ArcSwapOption::empty(),
        }
    }

    async fn load_both(&self) -> Result<Loaded> {
        // The file first: a login that moves, moves to the keyring, and is in one of the two reads.
        let file = self.file.load().await;
        let places = Places { keyring: self.keyring.store().load().await, file };
        if let Ok(keyring) = &places.keyring {
            self.is_keyring_empty.learn(keyring.record.is_none());
        }
        self.holder.store(Some(Arc::new(places.holder(self.keyring.kind()))));
        match (places.keyring, places.file) {
            (Ok(keyring), Ok(file)) => {
                let version = Version::pair(Some(&keyring.version), &file.version);
                Ok(Loaded { record: newest(keyring.record, file.record), version })
            }
            // The CLI does not look at a file in whose place the keyring holds a login.
            (Ok(keyring), Err(_)) if keyring.record.is_some() => {
                let version =
                    Version::pair(Some(&keyring.version), &self.file.version_now().await?);
                Ok(Loaded { version, ..keyring })
            }
            (Ok(_), Err(error)) => Err(error),
            (Err(_), Ok(file)) if file.record.is_some() => {
                let version = Version::pair(None, &file.version);
                Ok(Loaded { version, ..file })
            }
            (Err(error), _) => Err(Error::new(
                ErrorKind::StoreUnavailable,
                format!("nothing shows whether there is a login: {error}"),
            )
            .with_source(error)),
        }
    }

    async fn swap(&self, expected: &Version, record: Option<&AuthDotJson>) -> Result<Swap> {
        let write = self.keyring.prepare(record).await;
        let target = self.home.target_for_write().await?;
        let locks = self.home.commit_locks(&target).await?;
        let keyring = self.keyring.version_under_locks().await;
        let file = self.file.version_now().await?;
        if Version::pair(keyring.as_ref().ok(), &file) != *expected {
            return Ok(Swap::Conflict);
        }
        let is_absent = || keyring.as_ref().is_ok_and(|version| *version == Version::absent());
        let is_empty = self.keyring.is_seen_empty().await.unwrap_or_else(is_absent);
        let write = write.and_then(|write| {
            keyring?;
            self.is_keyring_empty.learn(is_empty);
            write.check_length()?;
            Ok(write)
        });
        let swap = match write {
            Ok(write) => {
                let replaced = self.replaced_file(target, record, is_empty).await;
                let swap = self.replace_in_keyring(write, record.is_none(), replaced).await;
                // In an empty keyring nothing can be newer than the file, but this very record if
                // it comes late.
                let stays_in_file = is_empty && swap.as_ref().is_err_and(is_no_help);
                (!stays_in_file).then_some(swap)
            }
            Err(error) => {
                self.refuse_unless_empty(&error).await?;
                None
            }
        };
        drop(locks);
        match (swap, record) {
            (Some(swap), _) => {
                let swap = swap?;
                self.keyring.sync().await;
                Ok(swap)
            }
            (None, Some(record)) => self.file.commit(&file, record).await,
            (None, None) => self.file.delete(&file).await,
        }
    }

    /// Writes the keyring, then removes the file that it takes the place of.
    async fn replace_in_keyring(
        &self,
        write: Write<'_>,
        is_removal: bool,
        replaced: Option<Target>,
    ) -> Result<Swap> {
        if !is_removal {
            self.expect_login();
        }
        if write.replace_under_locks().await? == Swap::Conflict {
            return Ok(Swap::Conflict);
        }
        self.is_keyring_empty.learn(is_removal);
        if let Some(target) = replaced {
            // What takes its place is durable first.
            if self.keyring.sync().await {
                self.file.remove_under_locks(target).await?;
            }
        }
        Ok(Swap::Done)
    }

    /// Notes, for other processes too, that the keyring gets a login: it may even where it does not
    /// answer.
    fn expect_login(&self) {
        self.is_keyring_empty.learn(false);
        if let Some(lock) = self.lock.load().as_deref().and_then(Weak::upgrade) {
            let mut ledger = lock.ledger();
            ledger.set_keyring_empty(false);
            if let Err(error) = lock.set_ledger(&ledger) {
                tracing::warn!(%error, "other programs are not told that the keyring gets a login");
            }
        }
    }

    /// The file, if it is to go once the keyring holds `record`: what the record was made of, as
    /// the keyring `was_empty`, or one of the same login. A broken one and another login's, which
    /// may be newer, stay until a user signs out.
    async fn replaced_file(
        &self,
        target: Target,
        record: Option<&AuthDotJson>,
        was_empty: bool,
    ) -> Option<Target> {
        target.existing.as_ref()?;
        let Some(record) = record else { return Some(target) };
        let file = self.file.look().await.ok()?.ok()?.record?;
        if was_empty || is_same_login(record, &file) {
            return Some(target);
        }
        tracing::warn!("auth.json holds another login than the keyring; it was left alone");
        None
    }

    async fn prove_ready(&self, size: usize) -> Result<Readiness> {
        match self.keyring.store().ready(size).await {
            Err(error) if is_no_help(&error) => {
                self.refuse_unless_empty(&error).await?;
                self.file.ready(size).await
            }
            ready => ready,
        }
    }

    /// Without the keyring, the file is all there is only where the keyring holds nothing.
    async fn refuse_unless_empty(&self, error: &Error) -> Result<()> {
        let is_empty = self.keyring.is_seen_empty().await.or_else(|| self.is_keyring_empty.get());
        if is_empty.unwrap_or_else(|| self.home.ledger().is_keyring_empty()) {
            return Ok(());
        }
        if error.kind() == ErrorKind::KeyringTooLong {
            return Err(error.clone());
        }
        let message = format!(
            "{} may hold a newer login than {}, and cannot be read: {error}",
            self.keyring.store().location(),
            self.file.path().display()
        );
        Err(Error::new(error.kind(), message).with_source(error.clone()))
    }
}

impl Places {
    fn holder(&self, preferred: StoreKind) -> StoreHolder {
        let has_login =
            |place: &Result<Loaded>| place.as_ref().is_ok_and(|loaded| loaded.record.is_some());
        match &self.keyring {
            Err(error) => StoreHolder::new(StoreKind::File, Some(error.to_string())),
            Ok(_) if !has_login(&self.keyring) && has_login(&self.file) => {
                let reason = format!("the store {} holds no login yet", preferred.name());
                StoreHolder::new(StoreKind::File, Some(reason))
            }
            Ok(_) => StoreHolder::new(preferred, None),
        }
    }
}

impl AuthStorage for AutoStorage {
    fn location(&self) -> String {
        format!("{} or {}", self.keyring.store().location(), self.file.location())
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.load_both())
    }

    fn watched_folders(&self) -> Vec<PathBuf> {
        let mut folders = self.file.watched_folders();
        folders.extend(self.keyring.store().watched_folders());
        folders
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

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<AuthDotJson>>> {
        self.file.leftovers()
    }

    fn remove_leftovers(&self) -> BoxFuture<'_, Result<()>> {
        self.file.remove_leftovers()
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(async {
            let lock = self.home.try_lock_with_auth_json().await?;
            Ok(lock.map(|lock| {
                let lock: Arc<dyn RefreshLock> = lock.into();
                self.lock.store(Some(Arc::new(Arc::downgrade(&lock))));
                let is_keyring_empty = Arc::clone(&self.is_keyring_empty);
                Box::new(AutoLock { lock, is_keyring_empty }) as Box<dyn RefreshLock>
            }))
        })
    }

    fn ledger(&self) -> Ledger {
        self.home.ledger()
    }

    fn holder(&self) -> Option<StoreHolder> {
        self.holder.load().as_deref().cloned()
    }
}

/// The file's refresh lock, in whose record it is noted what is known of the keyring.
#[derive(Debug)]
struct AutoLock {
    lock: Arc<dyn RefreshLock>,
    is_keyring_empty: Arc<Knowledge>,
}

impl RefreshLock for AutoLock {
    fn check(&self) -> Result<()> {
        self.lock.check()
    }

    fn ledger(&self) -> Ledger {
        self.lock.ledger()
    }

    fn set_ledger(&self, ledger: &Ledger) -> Result<()> {
        let mut ledger = ledger.clone();
        if let Some(is_empty) = self.is_keyring_empty.get() {
            ledger.set_keyring_empty(is_empty);
        }
        self.lock.set_ledger(&ledger)
    }
}

/// Whether the keyring cannot be asked, or would not take the record.
fn is_no_help(error: &Error) -> bool {
    use ErrorKind::{KeyringLocked, KeyringTooLong, KeyringUnavailable};
    matches!(error.kind(), KeyringUnavailable | KeyringLocked | KeyringTooLong)
}

/// Of two records of one login the one that was refreshed last, of two logins the keyring's.
fn newest(
    keyring: Option<Arc<AuthDotJson>>,
    file: Option<Arc<AuthDotJson>>,
) -> Option<Arc<AuthDotJson>> {
    let (Some(keyring), Some(file)) = (&keyring, &file) else { return keyring.or(file) };
    let is_newer = file.last_refresh > keyring.last_refresh && is_same_login(keyring, file);
    Some(Arc::clone(if is_newer { file } else { keyring }))
}

fn is_same_login(left: &AuthDotJson, right: &AuthDotJson) -> bool {
    let identity = |record: &AuthDotJson| record.tokens.as_ref().map(Identity::of_tokens);
    let identities = identity(left).zip(identity(right));
    identities.is_some_and(|(left, right)| left.compare(&right) == IdentityMatch::Same)
}
