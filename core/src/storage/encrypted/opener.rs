//! Opens the encrypted file, once for all readers, and remembers what was in it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use zeroize::Zeroizing;

use super::age_file::AgeFile;
use super::contents::Contents;
use super::derivation::{Derivations, Turn};
use super::envelope::{self, Closed};
use super::items::Items;
use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::storage::keyring::KeyringItem;
use crate::storage::{Loaded, Version};

/// Opens the file of one store by the passphrase in the keyring.
#[derive(Debug)]
pub(super) struct Opener {
    file: AgeFile,
    items: Items,
    pub(super) derivations: Derivations,
    /// The last file that was opened, or would not open.
    last: ArcSwapOption<Opening>,
}

/// What an attempt to open a file has shown.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) version: Version,
    pub(super) passphrase: Secret,
    pub(super) outcome: Result<Arc<Opened>, Closure>,
}

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) contents: Contents,
    pub(super) record: Option<Arc<AuthDotJson>>,
}

/// Why a file does not open, and whether it might by another passphrase.
#[derive(Debug, Clone)]
pub(super) struct Closure {
    error: Error,
    is_wrong_key: bool,
}

impl Opened {
    /// Reads what was decrypted. The error says why that is no login, without a secret.
    fn parse(plain: &[u8]) -> Result<Self, String> {
        let contents = Contents::parse(plain)?;
        let record = contents.login().map(|login| AuthDotJson::parse(login.expose().as_bytes()));
        let record = record.transpose().map_err(|invalid| invalid.to_string())?.map(Arc::new);
        Ok(Self { contents, record })
    }

    pub(super) fn loaded(&self, version: Version) -> Loaded {
        Loaded { record: self.record.clone(), version }
    }
}

impl Opener {
    pub(super) fn new(file: AgeFile, items: Items) -> Self {
        let (derivations, last) = (Derivations::default(), ArcSwapOption::empty());
        Self { file, items, derivations, last }
    }

    /// Returns what is in `file`. It is opened by the passphrase that has opened the last file, else
    /// by the passphrase in the keyring.
    pub(super) async fn open(
        &self,
        version: &Version,
        file: Zeroizing<Vec<u8>>,
    ) -> Result<Arc<Opened>> {
        if let Some(opened) = self.known(version) {
            return Ok(opened);
        }
        let file = Arc::new(file);
        let item = self.items.passphrase_item().await?;
        if let Some(passphrase) = self.passphrase_in_memory() {
            match self.open_by(passphrase, &item, version, &file).await? {
                Err(closure) if closure.is_wrong_key => {}
                outcome => return outcome.map_err(|closure| closure.error),
            }
        }
        let passphrase = self.items.passphrase_in(&item).await?;
        self.open_by(passphrase, &item, version, &file).await?.map_err(|closure| closure.error)
    }

    /// Returns what the file of this version holds, if it is the last one that was opened.
    pub(super) fn known(&self, version: &Version) -> Option<Arc<Opened>> {
        let last = self.last.load();
        let last = last.as_deref().filter(|last| last.version == *version)?;
        last.outcome.as_ref().ok().cloned()
    }

    /// Returns the passphrase that has opened the last file.
    pub(super) fn passphrase_in_memory(&self) -> Option<Secret> {
        let last = self.last.load();
        last.as_deref().filter(|last| last.outcome.is_ok()).map(|last| last.passphrase.clone())
    }

    pub(super) fn remember(&self, opening: Opening) {
        self.last.store(Some(Arc::new(opening)));
    }

    /// Opens `file` by one passphrase. A file that has not opened by it is not tried again.
    async fn open_by(
        &self,
        passphrase: Secret,
        item: &KeyringItem,
        version: &Version,
        file: &Arc<Zeroizing<Vec<u8>>>,
    ) -> Result<Result<Arc<Opened>, Closure>> {
        let turn = Turn::wait().await;
        let is_done =
            |last: &Arc<Opening>| last.version == *version && last.passphrase == passphrase;
        // The caller that had the turn before may have opened it.
        if let Some(last) = self.last.load_full().filter(is_done) {
            return Ok(last.outcome.clone());
        }
        let (key, file) = (passphrase.clone(), Arc::clone(file));
        // The turn lasts until the outcome is remembered.
        let (plain, _turn) =
            self.derivations.run(turn, move || envelope::open(&file, &key)).await?;
        let outcome = self.understand(plain, item);
        self.remember(Opening { version: version.clone(), passphrase, outcome: outcome.clone() });
        Ok(outcome)
    }

    fn understand(
        &self,
        plain: Result<Zeroizing<Vec<u8>>, Closed>,
        item: &KeyringItem,
    ) -> Result<Arc<Opened>, Closure> {
        let plain = plain.map_err(|closed| {
            let why = match closed {
                Closed::WrongKey => {
                    format!("the passphrase in the keyring's item {item} is another's")
                }
                Closed::TooMuchWork => "it asks for too much work".to_owned(),
                Closed::Damaged => "it is damaged".to_owned(),
            };
            Closure { error: self.corrupt(&why), is_wrong_key: closed == Closed::WrongKey }
        })?;
        Opened::parse(&plain)
            .map(Arc::new)
            .map_err(|why| Closure { error: self.corrupt(&why), is_wrong_key: false })
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::new(
            ErrorKind::StoreCorrupt,
            format!(
                "{} does not open: {why}; restore it, or move it away and sign in again",
                self.file.path().display()
            ),
        )
    }
}
