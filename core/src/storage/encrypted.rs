//! The login in a file that is encrypted by a passphrase in the keyring: what the Codex CLI does
//! where a keyring takes no value as long as a login.

mod contents;
mod derivation;
mod envelope;
mod material;
mod opener;

use std::fs::{DirBuilder, File};
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
use self::opener::{Opened, Opener, Opening};
use super::file::{
    Home, Replacement, TORN_FOR, Target, commit_locks, folders_of, prove, read_bytes, read_ledger,
    stamp_of, sync, try_refresh_lock, unreadable, unwritable, version_at, version_of,
};
use super::keyring::{Keyring, KeyringItem, PatientKeyring, remove_file};
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
    /// `auth.json`, which a record in the encrypted file takes the place of.
    auth_json: PathBuf,
    path: PathBuf,
    environment: Environment,
    opener: Opener,
    /// The login as an item of the keyring.
    direct: KeyringItem,
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
    target: Target,
    bytes: Vec<u8>,
    opening: Opening,
    replacement: Replacement,
}

impl EncryptedStorage {
    /// The store of the folder `codex_home`, which is resolved to its real path if it exists.
    pub fn new(
        codex_home: impl AsRef<Path>,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        let home = Home::of(codex_home.as_ref());
        let path = home.path().join("secrets").join("codex_auth.age");
        let keyring = PatientKeyring::new(keyring, environment.clone());
        Self {
            auth_json: home.path().join("auth.json"),
            opener: Opener::new(&path, keyring, KeyringItem::passphrase(home.path())),
            path,
            direct: KeyringItem::login(home.path()),
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

    /// The folder, by its real path if it exists.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The file and its version, if there is one.
    fn read(&self) -> Result<Option<(Version, Zeroizing<Vec<u8>>)>> {
        let file = read_bytes(&self.path)?;
        if file.is_none() {
            self.home.check()?;
        }
        Ok(file.map(|file| (version_of(&file), file)))
    }

    async fn load_patiently(&self) -> Result<Loaded> {
        let start = self.environment.clock.elapsed();
        loop {
            let Some((version, file)) = self.read()? else { return Ok(Loaded::nothing()) };
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
            if version_at(&self.path)? != *version {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The version of what the file holds, if that has been opened.
    pub(super) fn version_if_open(&self) -> Result<Version> {
        let version = version_at(&self.path)?;
        if version == Version::absent() || self.opener.known(&version).is_some() {
            return Ok(version);
        }
        Err(Error::new(
            ErrorKind::StoreUnavailable,
            format!("{} has not been opened", self.path.display()),
        ))
    }

    /// Where a write goes; its folder is made if need be.
    fn target(&self) -> Result<Target> {
        let folder = self.folder();
        make_private_folder(folder, self.home())
            .map_err(|error| unwritable("make", folder, &error))?;
        Target::resolve(&self.path)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(self.home())
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
        let auth_json = Target::resolve(&self.auth_json)?;
        let _locks = commit_locks(self.home(), &auth_json, &self.environment).await?;
        if let Some(found) = self.opener.keyring.get_under_locks(&self.opener.passphrase).await? {
            return Ok(found);
        }
        if let Some(file) = self.file_in_need()? {
            return Err(self.opener.passphrase_is_missing(&file));
        }
        self.opener.keyring.set_under_locks(&self.opener.passphrase, &passphrase).await?;
        let kept = self.opener.keyring.get_under_locks(&self.opener.passphrase).await?;
        kept.ok_or_else(|| self.opener.passphrase_is_missing(&self.path))
    }

    /// A file that the passphrase is missing for: the login's, or another one of the CLI's.
    fn file_in_need(&self) -> Result<Option<PathBuf>> {
        let folder = self.folder();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(folder, &error)),
        };
        let mut paths = entries.flatten().map(|entry| entry.path());
        Ok(paths.find(|path| path.extension() == Some("age".as_ref())))
    }

    async fn derive(&self, passphrase: Secret) -> Result<Material> {
        Material::derive(passphrase, self.work_factor, &self.opener.derivations).await
    }

    /// Makes the file that is to hold `record`, beside the other secrets of the present one. Slow
    /// unless readiness has done it, so to be called before the commit locks are taken.
    pub(super) async fn prepare(&self, record: Option<&AuthDotJson>) -> Result<Sealed> {
        let (base, opened) = match self.read()? {
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
                let found = self.opener.keyring.get(&self.opener.passphrase).await;
                self.derive(self.passphrase(found, base != Version::absent()).await?).await?
            }
        };
        let contents = opened.contents.with_login(record.map(AuthDotJson::to_json));
        let bytes = seal.close(&contents.to_json());
        let opened = Opened { contents, record: record.cloned().map(Arc::new) };
        let version = version_of(&bytes);
        let opening = Opening { version, passphrase, outcome: Ok(Arc::new(opened)) };
        let target = self.target()?;
        let replacement = Replacement::filled(&target, &bytes, temp)?;
        let new = NewFile { target, bytes, opening, replacement };
        Ok(Sealed { base, is_removal, new: Some(new) })
    }

    /// Writes what was prepared. For holders of the commit locks.
    pub(super) async fn replace_under_locks(&self, sealed: Sealed) -> Result<Swap> {
        let is_base = |path: &Path| Ok(version_at(path)? == sealed.base);
        if !is_base(&self.path)? {
            return Ok(Swap::Conflict);
        }
        let Some(new) = sealed.new else { return Ok(Swap::Done) };
        if new.replacement.put(&new.target, &new.bytes, is_base)? == Swap::Conflict {
            return Ok(Swap::Conflict);
        }
        self.opener.remember(new.opening);
        if sealed.is_removal {
            // What the CLI left from before it encrypted; it removes that too, as well as it can.
            let removed = self.opener.keyring.delete_under_locks(&self.direct).await;
            removed.unwrap_or_else(|error| tracing::warn!(%error, "an older login was left"));
        }
        Ok(Swap::Done)
    }

    async fn swap(&self, expected: &Version, record: Option<&AuthDotJson>) -> Result<Swap> {
        // What is seen to be in vain is not prepared.
        if version_at(&self.path)? != *expected {
            return Ok(Swap::Conflict);
        }
        let sealed = self.prepare(record).await?;
        if sealed.base != *expected {
            return Ok(Swap::Conflict);
        }
        let auth_json = Target::resolve(&self.auth_json)?;
        let locks = commit_locks(self.home(), &auth_json, &self.environment).await?;
        let swap = self.replace_under_locks(sealed).await?;
        if swap == Swap::Done && auth_json.existing.is_some() {
            // What takes its place is durable first.
            self.sync()?;
            remove_file(&self.auth_json);
        }
        drop(locks);
        self.sync()?;
        Ok(swap)
    }

    /// Makes the last write durable.
    pub(super) fn sync(&self) -> Result<()> {
        if self.folder().exists() { sync(&Target::resolve(&self.path)?) } else { Ok(()) }
    }

    async fn prove_ready(&self, size: usize) -> Result<Readiness> {
        let target = self.target()?;
        if let Some((version, file)) = self.read()? {
            // It is to be read before it is written, for the other secrets in it.
            self.opener.open(&version, file).await?;
        }
        let found = self.opener.keyring.get_under_locks(&self.opener.passphrase).await;
        let passphrase = self.passphrase(found, target.existing.is_some()).await?;
        let material = self.derive(passphrase).await?;
        let auth_json = Target::resolve(&self.auth_json)?;
        let locks = commit_locks(self.home(), &auth_json, &self.environment).await?;
        let temp = Some(prove(&target, locks, FAR_MORE * size)?);
        Ok(self.prepared.keep(Material { temp, ..material }))
    }
}

impl AuthStorage for EncryptedStorage {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.load_patiently())
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        match self.read() {
            Err(error) => Some(Err(error)),
            Ok(None) => Some(Ok(Loaded::nothing())),
            Ok(Some((version, _))) => {
                self.opener.known(&version).map(|opened| Ok(opened.loaded(version)))
            }
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        Some(stamp_of(&self.path))
    }

    fn watched_folders(&self) -> Vec<PathBuf> {
        folders_of(&self.path)
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
        Box::pin(async { try_refresh_lock(self.home(), &self.auth_json) })
    }

    fn ledger(&self) -> Ledger {
        read_ledger(self.home(), &self.auth_json)
    }
}

/// Makes `folder` for its owner only, who is that of the `home` it is in. One that is there stays.
fn make_private_folder(folder: &Path, home: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Ok(()) if cfg!(unix) => ownership::follow(&File::open(folder)?, &home.metadata()?),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
