//! The login in a file that is encrypted by a passphrase in the keyring: what the Codex CLI does
//! where a keyring takes no value as long as a login.

mod contents;
mod derivation;
mod envelope;
mod material;
mod opener;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use self::envelope::WORK_FACTOR;
use self::material::{Material, Prepared};
use self::opener::{Opened, Opener, Opening, passphrase_is_missing};
use super::content::{self, TORN_FOR, folders_of, stamp_of, version_at, version_of};
use super::file_calls::Kept;
use super::file_error::{unreadable, unwritable};
use super::home::Home;
use super::keyring::{Keyring, KeyringItem, PatientKeyring};
use super::replacement::{self, Replacement};
use super::target::Target;
use super::{AuthStorage, Loaded, Readiness, RefreshLock, Stamp, Swap, Version, ownership};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::secret::Secret;

/// Room for the escapes of a text within a text and for the other secrets, in logins.
const FAR_MORE: usize = 3;

/// The login of a `CODEX_HOME` in `secrets/codex_auth.age`.
///
/// The file and the passphrase are the Codex CLI's: each reads what the other writes. Writes happen
/// under the CLI's two commit locks and by compare-and-swap on the encrypted file.
///
/// To open a file or to make a new one takes about 2 s and 512 MiB of memory. So a file that has
/// not changed is not opened again, what a write needs is made before the locks are taken, and
/// before a token is spent, and a process does one such thing at a time.
#[derive(Debug)]
pub struct EncryptedStorage {
    home: Home,
    path: PathBuf,
    environment: Environment,
    opener: Opener,
    work_factor: u8,
    prepared: Prepared,
}

/// A file to be put in the place of another.
#[derive(Debug)]
pub(super) struct Sealed {
    base: Version,
    is_removal: bool,
    /// None where there is no login to remove.
    new: Option<NewFile>,
}

#[derive(Debug)]
struct NewFile {
    opening: Opening,
    put: Kept<Put>,
}

/// A filled temp file, and where it goes.
#[derive(Debug)]
struct Put {
    target: Target,
    bytes: Vec<u8>,
    replacement: Replacement,
}

/// A file as it was read, and its version.
type Sighting = (Version, Zeroizing<Vec<u8>>);

impl EncryptedStorage {
    /// The store of the folder `codex_home`, which is resolved at each use and need not exist: the
    /// first login that is saved makes it.
    pub fn new(
        codex_home: impl AsRef<Path>,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        let home = Home::of(codex_home.as_ref(), environment.clone());
        let path = home.path().join("secrets").join("codex_auth.age");
        let keyring = PatientKeyring::new(keyring, environment.clone());
        Self {
            opener: Opener::new(&path, keyring, home.clone()),
            path,
            work_factor: WORK_FACTOR,
            prepared: Prepared::default(),
            home,
            environment,
        }
    }

    /// The same store, which writes files of another work factor: the power of two of a
    /// derivation's work.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn with_work_factor(self, work_factor: u8) -> Self {
        Self { work_factor, ..self }
    }

    /// How many keys this store has derived.
    #[cfg(feature = "test-util")]
    pub fn derivations(&self) -> usize {
        self.opener.derivations.count()
    }

    /// The path of the encrypted file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn home(&self) -> &Home {
        &self.home
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What `call` on the file at a path in the home comes to.
    async fn make<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Home, &Path) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (home, path) = (self.home.clone(), self.path.clone());
        self.home.calls().make(move || call(&home, &path)).await
    }

    /// What the file holds, if that shows at once.
    fn known(&self, sighting: Option<Sighting>) -> Option<Loaded> {
        match sighting {
            None => Some(Loaded::nothing()),
            Some((version, _)) => Some(self.opener.known(&version)?.loaded(version)),
        }
    }

    /// What the file holds now, if it has been opened.
    pub(super) async fn look(&self) -> Result<Option<Loaded>> {
        Ok(self.known(self.make(read).await?))
    }

    async fn load_patiently(&self) -> Result<Loaded> {
        let start = self.environment.clock.elapsed();
        loop {
            let Some((version, file)) = self.make(read).await? else {
                return Ok(Loaded::nothing());
            };
            match self.opener.open(&version, file).await {
                Ok(opened) => return Ok(opened.loaded(version)),
                Err(error) if error.kind() != ErrorKind::StoreCorrupt => return Err(error),
                Err(error) if !self.changes_soon(start, &version).await? => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Whether the file comes to another version than `version` while it may be half-written.
    async fn changes_soon(&self, start: Duration, version: &Version) -> Result<bool> {
        let waited = || self.environment.clock.elapsed() - start;
        while waited() < TORN_FOR {
            self.environment.poll_pause(waited()).await;
            if self.version_now().await? != *version {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn version_now(&self) -> Result<Version> {
        self.make(|_, path| version_at(path)).await
    }

    /// The version of what the file holds, if that has been opened.
    pub(super) async fn version_if_open(&self) -> Result<Version> {
        let version = self.version_now().await?;
        if version == Version::absent() || self.opener.known(&version).is_some() {
            return Ok(version);
        }
        Err(Error::new(
            ErrorKind::StoreUnavailable,
            format!("{} has not been opened", self.path.display()),
        ))
    }

    /// The passphrase to write by, given the keyring's answer: where there is a file, the one that
    /// opened it does where the keyring cannot be asked.
    async fn passphrase(&self, found: Result<Option<Secret>>, has_file: bool) -> Result<Secret> {
        match found {
            Ok(Some(passphrase)) => Ok(passphrase),
            Ok(None) => self.make_passphrase().await,
            Err(error) => self.opener.passphrase_in_memory().filter(|_| has_file).ok_or(error),
        }
    }

    /// Makes a passphrase where there is neither one nor a file. Under the commit locks, so that of
    /// two programs one makes it and both use it.
    async fn make_passphrase(&self) -> Result<Secret> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| {
            Error::new(ErrorKind::StoreUnavailable, "the system gives no random numbers")
        })?;
        let passphrase = Secret::new(STANDARD.encode(*bytes));
        let (item, keyring) = (self.opener.item().await?, &self.opener.keyring);
        let _locks = self.home.commit_locks_alone().await?;
        if let Some(found) = keyring.get_under_locks(&item).await? {
            return Ok(found);
        }
        if let Some(file) = self.make(|_, path| file_in_need(folder_of(path))).await? {
            return Err(passphrase_is_missing(&item, &file));
        }
        keyring.set_under_locks(&item, &passphrase).await?;
        let kept = keyring.get_under_locks(&item).await?;
        kept.ok_or_else(|| passphrase_is_missing(&item, &self.path))
    }

    async fn derive(&self, passphrase: Secret) -> Result<Material> {
        Material::derive(passphrase, self.work_factor, &self.opener.derivations).await
    }

    /// Makes the file that is to hold `record`, beside the other secrets of the present one. Slow
    /// unless readiness has done it, so to be called before the commit locks are taken.
    pub(super) async fn prepare(&self, record: Option<&AuthDotJson>) -> Result<Sealed> {
        if record.is_some() {
            // Before the passphrase is looked for, whose item is named after where the folder is.
            self.make(|home, _| home.create()).await?;
        }
        let (base, opened) = match self.make(read).await? {
            Some((base, file)) => (base.clone(), self.opener.open(&base, file).await?),
            None => (Version::absent(), Arc::default()),
        };
        let is_removal = record.is_none();
        if is_removal && opened.record.is_none() {
            return Ok(Sealed { base, is_removal, new: None });
        }
        let Material { passphrase, seal, temp } = match self.prepared.take() {
            Some(prepared) => prepared,
            None => {
                let found = self.opener.keyring.get(&self.opener.item().await?).await;
                self.derive(self.passphrase(found, base != Version::absent()).await?).await?
            }
        };
        let contents = opened.contents.with_login(record.map(AuthDotJson::to_json));
        let bytes = seal.close(&contents.to_json());
        let opened = Opened { contents, record: record.cloned().map(Arc::new) };
        let version = version_of(&bytes);
        let opening = Opening { version, passphrase, outcome: Ok(Arc::new(opened)) };
        let put = self.make(move |home, path| {
            let target = target_of(home, path)?;
            let replacement = Replacement::filled(&target, &bytes, temp)?;
            Ok(Put { target, bytes, replacement })
        });
        let put = self.home.calls().keep(put.await?);
        Ok(Sealed { base, is_removal, new: Some(NewFile { opening, put }) })
    }

    /// Writes what was prepared. For holders of the commit locks.
    pub(super) async fn replace_under_locks(&self, sealed: Sealed) -> Result<Swap> {
        if self.version_now().await? != sealed.base {
            return Ok(Swap::Conflict);
        }
        let Some(new) = sealed.new else { return Ok(Swap::Done) };
        let base = sealed.base;
        let swap = self.make(move |_, _| {
            let Put { target, bytes, replacement } = new.put.take();
            replacement.put(&target, &bytes, |path| Ok(version_at(path)? == base))
        });
        if swap.await? == Swap::Conflict {
            return Ok(Swap::Conflict);
        }
        self.opener.remember(new.opening);
        if sealed.is_removal {
            // What the CLI left from before it encrypted; it removes that too, as well as it can.
            let direct = KeyringItem::login(&self.home.real_path_patiently().await?);
            let removed = self.opener.keyring.delete_under_locks(&direct).await;
            removed.unwrap_or_else(|error| tracing::warn!(%error, "an older login was left"));
        }
        Ok(Swap::Done)
    }

    async fn swap(&self, expected: &Version, record: Option<&AuthDotJson>) -> Result<Swap> {
        // What is seen to be in vain is not prepared.
        if self.version_now().await? != *expected {
            return Ok(Swap::Conflict);
        }
        let sealed = self.prepare(record).await?;
        if sealed.base != *expected {
            return Ok(Swap::Conflict);
        }
        let auth_json = self.home.target_for_write().await?;
        let locks = self.home.commit_locks(&auth_json).await?;
        let swap = self.replace_under_locks(sealed).await?;
        if auth_json.existing.is_none() {
            drop(locks);
            self.sync().await;
        } else if swap == Swap::Done && self.sync().await {
            // What takes its place is durable first.
            self.home.remove_auth_json(locks).await;
        }
        Ok(swap)
    }

    /// Makes the last write durable; whether it is.
    pub(super) async fn sync(&self) -> bool {
        let synced = self.make(|_, path| {
            Ok(!folder_of(path).exists() || replacement::sync(&Target::resolve(path)?))
        });
        let synced = synced.await;
        synced.unwrap_or_else(|error| {
            tracing::warn!(%error, "a login is stored, and may not outlast a power cut");
            false
        })
    }

    async fn prove_ready(&self, size: usize) -> Result<Readiness> {
        let target = self.make(target_of).await?;
        if let Some((version, file)) = self.make(read).await? {
            // It is to be read before it is written, for the other secrets in it.
            self.opener.open(&version, file).await?;
        }
        let item = self.opener.item().await?;
        let found = self.opener.keyring.get_under_locks(&item).await;
        let passphrase = self.passphrase(found, target.existing.is_some()).await?;
        let material = self.derive(passphrase).await?;
        let locks = self.home.commit_locks_alone().await?;
        let temp = self.make(move |home, _| home.prove(&target, locks, FAR_MORE * size));
        let discard = self.prepared.keep(Material { temp: Some(temp.await?), ..material });
        Ok(Readiness::kept_by(self.home.calls().keep(discard)))
    }
}

/// The file at `path` in `home` and its version, if there is one.
fn read(home: &Home, path: &Path) -> Result<Option<Sighting>> {
    let file = content::read(path)?;
    match &file {
        Some(_) => home.note_presence(),
        None => home.check()?,
    }
    Ok(file.map(|file| (version_of(&file), file)))
}

/// Where a write of the file at `path` in `home` goes; its folder is made if need be.
fn target_of(home: &Home, path: &Path) -> Result<Target> {
    home.create()?;
    let folder = folder_of(path);
    ownership::make_folder(folder).map_err(|error| unwritable("make", folder, &error))?;
    Target::resolve(path)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// A file in `folder` that the passphrase is missing for: the login's, or another one of the CLI's.
fn file_in_need(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let mut paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.find(|path| path.extension() == Some("age".as_ref())))
}

impl AuthStorage for EncryptedStorage {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.load_patiently())
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        if self.home.calls().may_hang() {
            return None;
        }
        read(&self.home, &self.path).map(|sighting| self.known(sighting)).transpose()
    }

    fn stamp(&self) -> Option<Stamp> {
        (!self.home.calls().may_hang()).then(|| stamp_of(&self.path))
    }

    fn watched_folders(&self) -> Vec<PathBuf> {
        // Where others write by a network or another program, the system does not tell.
        if self.home.calls().may_hang() { Vec::new() } else { folders_of(&self.path) }
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
        Box::pin(self.home.try_lock())
    }

    fn ledger(&self) -> Ledger {
        self.home.ledger()
    }
}
