//! The login in a file that is encrypted by a passphrase in the keyring: what the Codex CLI does
//! where a keyring takes no value as long as a login.

mod age_file;
mod contents;
mod derivation;
mod envelope;
mod items;
mod material;
mod opener;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::age_file::{AgeFile, Filled, Sighting};
use self::envelope::WORK_FACTOR;
use self::items::Items;
use self::material::{Material, Prepared};
use self::opener::{Opened, Opener, Opening};
use super::content::{TORN_FOR, version_of};
use super::file_calls::Kept;
use super::home::Home;
use super::home_store::HomeStore;
use super::keyring::{Keyring, PatientKeyring};
use super::{Loaded, Readiness, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::description::StorePlaces;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Room for the escapes of a text within a text and for the other secrets, in logins.
const FAR_MORE: usize = 3;

/// The login of a `CODEX_HOME` in `secrets/codex_auth.age`.
///
/// The file and the passphrase are the Codex CLI's: each program reads what the other writes. This
/// store writes under the CLI's two commit locks, and by compare-and-swap on the encrypted file.
///
/// To open a file or to make a new one takes about 2 s and 512 MiB of memory. So a file that has
/// not changed is not opened again, a process does one such thing at a time, and what a write needs
/// is made before the locks are taken and before a refresh token is spent.
#[derive(Debug)]
pub struct EncryptedStorage {
    file: AgeFile,
    items: Items,
    environment: Environment,
    opener: Opener,
    work_factor: u8,
    prepared: Prepared,
    /// Whether there was a file, as far as is believed: the Codex CLI for Windows removes it before it
    /// puts another one there.
    was_there: AtomicBool,
}

/// A file to be put in the place of another.
#[derive(Debug)]
pub(super) struct Sealed {
    base: Version,
    is_removal: bool,
    /// None if there is no login to remove.
    new: Option<NewFile>,
}

#[derive(Debug)]
struct NewFile {
    opening: Opening,
    filled: Kept<Filled>,
}

impl EncryptedStorage {
    /// Creates the store of the folder `codex_home`, which is resolved at each use and need not
    /// exist: the first login that is saved makes it.
    pub fn new(
        codex_home: impl AsRef<Path>,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        let file = AgeFile::of(Home::of(codex_home.as_ref(), environment.clone()));
        let items = Items::of(file.clone(), PatientKeyring::new(keyring, environment.clone()));
        Self {
            opener: Opener::new(file.clone(), items.clone()),
            file,
            items,
            environment,
            work_factor: WORK_FACTOR,
            prepared: Prepared::default(),
            was_there: AtomicBool::new(false),
        }
    }

    /// Returns this store with another work factor for the files that it writes: the power of two
    /// of a derivation's work.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn with_work_factor(self, work_factor: u8) -> Self {
        Self { work_factor, ..self }
    }

    /// Returns how many keys this store has derived.
    #[cfg(feature = "test-util")]
    pub fn derivations(&self) -> usize {
        self.opener.derivations.count()
    }

    /// Returns the path of the encrypted file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns what the file holds, if that shows at once.
    fn known(&self, sighting: Option<Sighting>) -> Option<Loaded> {
        match sighting {
            None if self.was_there.load(Ordering::Relaxed) => None,
            None => Some(Loaded::nothing()),
            Some((version, _)) => Some(self.opener.known(&version)?.loaded(version)),
        }
    }

    /// Returns what the file holds now, if it has been opened.
    pub(super) async fn look(&self) -> Result<Option<Loaded>> {
        Ok(self.known(self.file.read().await?))
    }

    /// Waits for the file to come to another version than `version`, as long as it may be
    /// half-written. Returns whether it does.
    async fn changes_soon(&self, start: Duration, version: &Version) -> Result<bool> {
        let waited = || self.environment.clock.elapsed() - start;
        while waited() < TORN_FOR {
            self.environment.poll_pause(waited()).await;
            if self.file.version().await? != *version {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the version of what the file holds, if that has been opened.
    pub(super) async fn version_if_open(&self) -> Result<Version> {
        let version = self.file.version().await?;
        if version == Version::absent() || self.opener.known(&version).is_some() {
            return Ok(version);
        }
        Err(Error::new(
            ErrorKind::StoreUnavailable,
            format!("{} has not been opened", self.path().display()),
        ))
    }

    async fn derive(&self, passphrase: Secret) -> Result<Material> {
        Material::derive(passphrase, self.work_factor, &self.opener.derivations).await
    }

    /// Returns the passphrase that has opened the last file, if there `is_file`: by that one the next
    /// file may be written, too.
    fn known_passphrase(&self, is_file: bool) -> Option<Secret> {
        self.opener.passphrase_in_memory().filter(|_| is_file)
    }

    /// Makes the file that is to hold `record`, beside the other secrets of the present one. This is
    /// slow unless a proof of readiness has come before, so it is called before the commit locks are
    /// taken.
    pub(super) async fn prepare(&self, record: Option<&AuthDotJson>) -> Result<Sealed> {
        if record.is_some() {
            self.file.make_home().await?;
        }
        let (base, opened) = match self.file.read().await? {
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
                let known = self.known_passphrase(base != Version::absent());
                self.derive(self.items.passphrase(known).await?).await?
            }
        };
        let contents = opened.contents.with_login(record.map(AuthDotJson::to_json));
        let bytes = seal.close(&contents.to_json());
        let opened = Opened { contents, record: record.cloned().map(Arc::new) };
        let version = version_of(&bytes);
        let opening = Opening { version, passphrase, outcome: Ok(Arc::new(opened)) };
        let filled = self.file.fill(bytes, temp).await?;
        Ok(Sealed { base, is_removal, new: Some(NewFile { opening, filled }) })
    }

    /// Writes what was prepared. The caller holds the commit locks.
    pub(super) async fn replace_under_locks(&self, sealed: Sealed) -> Result<Swap> {
        let Sealed { base, is_removal, new } = sealed;
        if self.file.version().await? != base {
            return Ok(Swap::Conflict);
        }
        let Some(NewFile { opening, filled }) = new else { return Ok(Swap::Done) };
        if self.file.put(filled, base).await? == Swap::Conflict {
            return Ok(Swap::Conflict);
        }
        self.opener.remember(opening);
        if is_removal {
            self.items.remove_older_login().await?;
        }
        Ok(Swap::Done)
    }

    /// Makes the last write durable. Returns whether it is.
    pub(super) async fn sync(&self) -> bool {
        self.file.sync().await
    }
}

impl HomeStore for EncryptedStorage {
    fn home(&self) -> &Home {
        self.file.home()
    }

    fn place(&self) -> String {
        self.path().display().to_string()
    }

    fn file(&self) -> Option<&Path> {
        Some(self.path())
    }

    async fn read(&self) -> Result<Loaded> {
        let start = self.environment.clock.elapsed();
        loop {
            let Some((version, file)) = self.file.read().await? else {
                let was_there = self.was_there.load(Ordering::Relaxed);
                if was_there && self.changes_soon(start, &Version::absent()).await? {
                    continue;
                }
                self.was_there.store(false, Ordering::Relaxed);
                return Ok(Loaded::nothing());
            };
            self.was_there.store(true, Ordering::Relaxed);
            match self.opener.open(&version, file).await {
                Ok(opened) => return Ok(opened.loaded(version)),
                Err(error) if error.kind() != ErrorKind::StoreCorrupt => return Err(error),
                Err(error) if !self.changes_soon(start, &version).await? => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn read_now(&self) -> Option<Result<Loaded>> {
        self.file.read_now().map(|sighting| self.known(sighting)).transpose()
    }

    async fn swap(&self, expected: &Version, record: Option<&AuthDotJson>) -> Result<Swap> {
        // Nothing is prepared for a write that would fail.
        if self.file.version().await? != *expected {
            return Ok(Swap::Conflict);
        }
        let sealed = self.prepare(record).await?;
        if sealed.base != *expected {
            return Ok(Swap::Conflict);
        }
        let auth_json = self.home().target_for_write().await?;
        let locks = self.home().commit_locks(&auth_json).await?;
        let swap = self.replace_under_locks(sealed).await?;
        if auth_json.existing.is_none() {
            drop(locks);
            self.sync().await;
        } else if swap == Swap::Done && self.sync().await {
            // What takes the place of `auth.json` is durable first.
            self.home().remove_auth_json(locks).await;
        }
        Ok(swap)
    }

    async fn prove(&self, size: usize) -> Result<Readiness> {
        let target = self.file.target().await?;
        if let Some((version, file)) = self.file.read().await? {
            // A write reads it first, for the other secrets in it.
            self.opener.open(&version, file).await?;
        }
        let known = self.known_passphrase(target.existing.is_some());
        let material = self.derive(self.items.passphrase_unasked(known).await?).await?;
        let locks = self.home().commit_locks_alone().await?;
        let temp = self.file.prove(target, locks, FAR_MORE * size).await?;
        let discard = self.prepared.keep(Material { temp: Some(temp), ..material });
        Ok(Readiness::kept_by(self.home().calls().keep(discard)))
    }

    async fn places(&self) -> StorePlaces {
        let encrypted_file = self.home().describe_file(self.path()).await;
        let places = StorePlaces { encrypted_file, ..self.home().describe().await };
        self.items.describe_in(places).await
    }
}
