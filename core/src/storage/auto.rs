//! The keyring where it works, else `auth.json`: the Codex CLI's `auto`, without its ways of losing
//! a login.

mod emptiness;
mod places;
mod preferred;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use self::emptiness::Emptiness;
use self::places::{Places, is_same_login, newest};
use self::preferred::{Preferred, Write};
#[cfg(feature = "encrypted")]
use super::encrypted::EncryptedStorage;
use super::home::Home;
use super::home_store::HomeStore;
use super::keyring::{Keyring, KeyringStorage};
use super::target::Target;
use super::{AuthStorage, FileStorage, Loaded, Readiness, RefreshLock, StoreHolder, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::description::StorePlaces;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};

/// The login of a `CODEX_HOME` in the keyring, or in `auth.json` if the keyring does not work.
///
/// A load changes neither place. If both hold a record of one login, the record that was refreshed
/// last counts; if they hold two logins, the keyring's counts, as with the Codex CLI. A save writes
/// the keyring and removes the file, unless the file holds another login. While the keyring cannot
/// be reached, the record in the file is used, and its refresh token is redeemed only if the
/// keyring is known to hold no login: else a newer login may be in the keyring. Where no keyring was
/// ever reached from this folder, and the machine has no session that one could be in, the file is
/// all that there is. A login that the keyring does not take is kept in the file, as long as the
/// keyring holds none.
#[derive(Debug)]
pub struct AutoStorage {
    home: Home,
    keyring: Preferred,
    file: FileStorage,
    emptiness: Emptiness,
    /// Whether the user was told that there is only the file.
    told_of_file: AtomicBool,
    holder: ArcSwapOption<StoreHolder>,
}

impl AutoStorage {
    /// Creates the store of the folder `codex_home`, which is resolved at each use and need not
    /// exist: the first login that is saved makes it.
    pub fn new(
        codex_home: impl AsRef<Path>,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        let home = Home::of(codex_home.as_ref(), environment.clone());
        let keyring = KeyringStorage::in_home(home.clone(), keyring, environment.clone());
        Self::prefer(Preferred::Keyring(keyring), home, environment)
    }

    /// Creates a store that keeps the login in the encrypted file of `store`, rather than in an item
    /// of the keyring, and in `auth.json` if the keyring does not work.
    #[cfg(feature = "encrypted")]
    pub fn encrypted(store: EncryptedStorage) -> Self {
        let (home, environment) = (store.home().clone(), store.environment().clone());
        Self::prefer(Preferred::Encrypted(store), home, environment)
    }

    fn prefer(keyring: Preferred, home: Home, environment: Environment) -> Self {
        Self {
            file: FileStorage::in_home(home.clone(), environment),
            emptiness: Emptiness::in_home(home.clone()),
            home,
            keyring,
            told_of_file: AtomicBool::new(false),
            holder: ArcSwapOption::empty(),
        }
    }

    /// Returns what both places hold, after the `file` was read. It is read first: a login moves from
    /// the file to the keyring only, so that one of the two reads finds it.
    async fn read_after(&self, file: Result<Loaded>) -> Result<Loaded> {
        let places = Places { keyring: self.keyring.store().load().await, file };
        if let Ok(keyring) = &places.keyring {
            self.emptiness.learn(keyring.record.is_none());
            self.note_keyring().await;
        }
        self.holder.store(Some(Arc::new(places.holder(self.keyring.kind()))));
        let keyring = match places.keyring {
            Err(error) if self.has_no_keyring() => {
                self.tell_of_file(&error);
                Ok(Loaded::nothing())
            }
            keyring => keyring,
        };
        match (keyring, places.file) {
            (Ok(keyring), Ok(file)) => {
                let version = Version::pair(Some(&keyring.version), &file.version);
                Ok(Loaded { record: newest(keyring.record, file.record), version })
            }
            // The CLI does not look at the file if the keyring holds a login.
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

    /// Returns whether the file is all that there is: no keyring was ever reached from this home, and
    /// the machine has none.
    fn has_no_keyring(&self) -> bool {
        self.keyring.is_missing() && !self.emptiness.was_reached()
    }

    fn tell_of_file(&self, error: &Error) {
        if !self.told_of_file.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                file = %self.file.path().display(),
                %error,
                "the login is kept in the file: no keyring was ever reached from its folder, and \
                 there is no session bus; name the store `file` if that is to stay so"
            );
        }
    }

    /// Notes that there is a keyring, where that was never noted, for programs that cannot reach it.
    /// Another holder of the refresh lock notes it at its own next note.
    async fn note_keyring(&self) {
        // What only reads makes no folder.
        if !self.emptiness.is_to_be_noted() || !self.home.is_there().unwrap_or_default() {
            return;
        }
        let noted = match self.lock().await {
            Ok(Some(lock)) => lock.set_ledger(&lock.ledger()).await,
            lock => lock.map(drop),
        };
        if let Err(error) = noted {
            tracing::debug!(%error, "other programs are not told that there is a keyring");
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
            self.emptiness.end().await;
        }
        if write.replace_under_locks().await? == Swap::Conflict {
            return Ok(Swap::Conflict);
        }
        self.emptiness.learn(is_removal);
        if let Some(target) = replaced {
            // What takes the place of the file is durable first.
            if self.keyring.sync().await {
                self.file.remove_under_locks(target).await?;
            }
        }
        Ok(Swap::Done)
    }

    /// Returns the file, if it goes once the keyring holds `record`. It goes if the record was made
    /// from it, since the keyring `was_empty`, or if it holds the same login. A broken file, and one
    /// with another login, which may be newer, stays until the user signs out.
    async fn replaced_file(
        &self,
        target: Target,
        record: Option<&AuthDotJson>,
        was_empty: bool,
    ) -> Option<Target> {
        target.existing.as_ref()?;
        let Some(record) = record else { return Some(target) };
        let file = self.file.record_now().await?;
        if was_empty || is_same_login(record, &file) {
            return Some(target);
        }
        tracing::warn!("auth.json holds another login than the keyring; it was left alone");
        None
    }

    /// Fails with `error`, for which the keyring cannot be used, unless the keyring is known to hold
    /// no login: only then is the file all that there is.
    async fn refuse_unless_empty(&self, error: &Error) -> Result<()> {
        let is_seen_empty = self.keyring.is_seen_empty().await;
        let is_known_empty = || self.emptiness.is_known() || self.has_no_keyring();
        if is_seen_empty.unwrap_or_else(is_known_empty) {
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

impl HomeStore for AutoStorage {
    fn home(&self) -> &Home {
        &self.home
    }

    fn at(&self, home: Home) -> Self {
        Self {
            keyring: self.keyring.at(&home),
            file: self.file.at(home.clone()),
            emptiness: Emptiness::in_home(home.clone()),
            home,
            holder: ArcSwapOption::empty(),
            told_of_file: AtomicBool::new(self.told_of_file.load(Ordering::Relaxed)),
        }
    }

    fn place(&self) -> String {
        format!("{} or {}", self.keyring.store().location(), self.file.location())
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = self.file.watched_folders();
        folders.extend(self.keyring.store().watched_folders());
        folders
    }

    async fn read(&self) -> Result<Loaded> {
        let file = self.file.load().await;
        self.read_after(file).await
    }

    async fn read_to_replace(&self) -> Result<Loaded> {
        let file = self.file.load_to_replace().await;
        self.read_after(file).await
    }

    async fn swap(&self, expected: &Version, record: Option<&AuthDotJson>) -> Result<Swap> {
        let write = self.keyring.prepare(record).await;
        let target = self.home.target_for_write().await?;
        let locks = self.home.commit_locks(&target).await?;
        let keyring = self.keyring.version_under_locks().await;
        let file = self.file.version_now().await?;
        let absent = Version::absent();
        let seen = keyring.as_ref().ok().or_else(|| self.has_no_keyring().then_some(&absent));
        if Version::pair(seen, &file) != *expected {
            return Ok(Swap::Conflict);
        }
        let is_absent = || keyring.as_ref().is_ok_and(|version| *version == Version::absent());
        let is_empty = self.keyring.is_seen_empty().await.unwrap_or_else(is_absent);
        let write = write.and_then(|write| {
            keyring?;
            self.emptiness.learn(is_empty);
            write.check_length()?;
            Ok(write)
        });
        let swap = match write {
            Ok(write) => {
                let replaced = self.replaced_file(target, record, is_empty).await;
                let swap = self.replace_in_keyring(write, record.is_none(), replaced).await;
                // The keyring is empty, so nothing in it can be newer than the file, unless this
                // very record gets there late.
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

    async fn prove(&self, size: usize) -> Result<Readiness> {
        match self.keyring.store().ready(size).await {
            Err(error) if is_no_help(&error) => {
                self.refuse_unless_empty(&error).await?;
                self.file.ready(size).await
            }
            ready => ready,
        }
    }

    async fn lock(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        let lock = self.home.try_lock_with_auth_json().await?;
        Ok(lock.map(|lock| self.emptiness.noted_by(lock)))
    }

    async fn places(&self) -> StorePlaces {
        let StorePlaces { keyring, encrypted_file, .. } = self.keyring.store().describe().await;
        StorePlaces { keyring, encrypted_file, ..self.file.places().await }
    }

    fn last_holder(&self) -> Option<StoreHolder> {
        self.holder.load().as_deref().cloned()
    }
}

/// Returns whether the keyring cannot be asked, or would not take the record.
fn is_no_help(error: &Error) -> bool {
    use ErrorKind::{KeyringLocked, KeyringTooLong, KeyringUnavailable};
    matches!(error.kind(), KeyringUnavailable | KeyringLocked | KeyringTooLong)
}
