//! What the keyring holds for the encrypted file: its passphrase, and maybe a login that was stored
//! before there was the file.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::age_file::AgeFile;
use crate::description::StorePlaces;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::storage::keyring::{KeyringItem, PatientKeyring};

/// The keyring's items for the file of one home. Clones are the same items.
#[derive(Debug, Clone)]
pub(super) struct Items {
    keyring: PatientKeyring,
    file: AgeFile,
}

impl Items {
    pub(super) const fn of(file: AgeFile, keyring: PatientKeyring) -> Self {
        Self { keyring, file }
    }

    /// Returns the item that holds the passphrase. Its name depends on where the folder is now.
    pub(super) async fn passphrase_item(&self) -> Result<KeyringItem> {
        Ok(KeyringItem::passphrase(&self.file.home().real_path_patiently().await?))
    }

    /// Adds to `places` whether the keyring answers and has the passphrase.
    pub(super) async fn describe_in(&self, places: StorePlaces) -> StorePlaces {
        self.keyring.describe_in(places, self.passphrase_item().await).await
    }

    /// Returns the passphrase in `item`, by which the file may open.
    pub(super) async fn passphrase_in(&self, item: &KeyringItem) -> Result<Secret> {
        let found = self.keyring.get(item).await?;
        found.ok_or_else(|| passphrase_is_missing(item, self.file.path()))
    }

    /// Returns the passphrase to write by. Where the keyring cannot be asked, that is the `known`
    /// one; where it holds none, a new one.
    pub(super) async fn passphrase(&self, known: Option<Secret>) -> Result<Secret> {
        let item = self.passphrase_item().await?;
        self.choose(self.keyring.get(&item).await, known).await
    }

    /// Returns the passphrase to write by, as [`passphrase`](Self::passphrase) does, but never asks
    /// the user to unlock the keyring.
    pub(super) async fn passphrase_unasked(&self, known: Option<Secret>) -> Result<Secret> {
        let item = self.passphrase_item().await?;
        self.choose(self.keyring.get_under_locks(&item).await, known).await
    }

    async fn choose(&self, found: Result<Option<Secret>>, known: Option<Secret>) -> Result<Secret> {
        match found {
            Ok(Some(passphrase)) => Ok(passphrase),
            Ok(None) => self.make_passphrase().await,
            Err(error) => known.ok_or(error),
        }
    }

    /// Makes a passphrase where there is neither one nor a file that needs one. This holds the
    /// commit locks, so that of two programs one makes it and both use it.
    async fn make_passphrase(&self) -> Result<Secret> {
        let passphrase = random_passphrase()?;
        let item = self.passphrase_item().await?;
        let _locks = self.file.home().commit_locks_alone().await?;
        if let Some(found) = self.keyring.get_under_locks(&item).await? {
            return Ok(found);
        }
        if let Some(file) = self.file.find_closed().await? {
            return Err(passphrase_is_missing(&item, &file));
        }
        self.keyring.set_under_locks(&item, &passphrase).await?;
        let kept = self.keyring.get_under_locks(&item).await?;
        kept.ok_or_else(|| passphrase_is_missing(&item, self.file.path()))
    }

    /// Removes the login that the Codex CLI has left in the keyring from before it encrypted. As with
    /// the CLI, a failure is a warning. The caller holds the commit locks.
    pub(super) async fn remove_older_login(&self) -> Result<()> {
        let item = KeyringItem::login(&self.file.home().real_path_patiently().await?);
        let removed = self.keyring.delete_under_locks(&item).await;
        removed.unwrap_or_else(|error| tracing::warn!(%error, "an older login was left"));
        Ok(())
    }
}

fn random_passphrase() -> Result<Secret> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| {
        Error::new(ErrorKind::StoreUnavailable, "the system gives no random numbers")
    })?;
    Ok(Secret::new(STANDARD.encode(*bytes)))
}

/// Returns the error about `file`, for which `item` of the keyring is missing.
fn passphrase_is_missing(item: &KeyringItem, file: &Path) -> Error {
    Error::new(
        ErrorKind::KeyringUnavailable,
        format!(
            "the keyring has no item {item}, without which {} cannot be opened; restore it, or move \
             the file away and sign in again",
            file.display()
        ),
    )
}
