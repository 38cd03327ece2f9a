//! The store that `auto` prefers to `auth.json`: an item of the keyring, or the encrypted file,
//! whose passphrase is in the keyring.

use crate::auth_dot_json::AuthDotJson;
use crate::error::Result;
#[cfg(feature = "encrypted")]
use crate::storage::encrypted::{EncryptedStorage, Sealed};
use crate::storage::home::Home;
use crate::storage::home_store::HomeStore;
use crate::storage::keyring::KeyringStorage;
use crate::storage::store_kind::StoreKind;
use crate::storage::{AuthStorage, Swap, Version};

#[derive(Debug)]
pub(super) enum Preferred {
    Keyring(KeyringStorage),
    #[cfg(feature = "encrypted")]
    Encrypted(EncryptedStorage),
}

/// A write that waits for the commit locks.
pub(super) enum Write<'a> {
    Item(&'a KeyringStorage, Option<&'a AuthDotJson>),
    #[cfg(feature = "encrypted")]
    File(&'a EncryptedStorage, Box<Sealed>),
}

impl Preferred {
    pub(super) fn store(&self) -> &dyn AuthStorage {
        match self {
            Self::Keyring(store) => store,
            #[cfg(feature = "encrypted")]
            Self::Encrypted(store) => store,
        }
    }

    /// Returns the store of this kind for the record of another `home`.
    pub(super) fn at(&self, home: &Home) -> Self {
        match self {
            Self::Keyring(store) => Self::Keyring(store.at(home.clone())),
            #[cfg(feature = "encrypted")]
            Self::Encrypted(store) => Self::Encrypted(store.at(home.clone())),
        }
    }

    pub(super) const fn kind(&self) -> StoreKind {
        match self {
            Self::Keyring(_) => StoreKind::Keyring,
            #[cfg(feature = "encrypted")]
            Self::Encrypted(_) => StoreKind::Encrypted,
        }
    }

    /// Returns whether the store is in a keyring, and this machine is known to have none now.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Keyring(store) => store.is_keyring_missing(),
            // Its file shows whether it holds a login.
            #[cfg(feature = "encrypted")]
            Self::Encrypted(_) => false,
        }
    }

    /// Returns whether the store holds no login; none if only the keyring could tell.
    pub(super) async fn is_seen_empty(&self) -> Option<bool> {
        match self {
            Self::Keyring(_) => None,
            #[cfg(feature = "encrypted")]
            Self::Encrypted(store) => {
                let seen = store.look().await;
                Some(seen.is_ok_and(|seen| seen.is_some_and(|seen| seen.record.is_none())))
            }
        }
    }

    /// Makes the last write durable. Returns whether it is.
    pub(super) async fn sync(&self) -> bool {
        match self {
            Self::Keyring(_) => true,
            #[cfg(feature = "encrypted")]
            Self::Encrypted(store) => store.sync().await,
        }
    }

    /// Makes what a write needs, before the commit locks are taken.
    pub(super) async fn prepare<'a>(
        &'a self,
        record: Option<&'a AuthDotJson>,
    ) -> Result<Write<'a>> {
        match self {
            Self::Keyring(store) => Ok(Write::Item(store, record)),
            #[cfg(feature = "encrypted")]
            Self::Encrypted(store) => {
                Ok(Write::File(store, Box::new(store.prepare(record).await?)))
            }
        }
    }

    /// Returns the version of what the store holds. The caller holds the commit locks.
    pub(super) async fn version_under_locks(&self) -> Result<Version> {
        match self {
            Self::Keyring(store) => store.version_under_locks().await,
            #[cfg(feature = "encrypted")]
            Self::Encrypted(store) => store.version_if_open().await,
        }
    }
}

impl Write<'_> {
    /// Fails with `keyring_too_long` if the keyring would not take the record.
    pub(super) fn check_length(&self) -> Result<()> {
        match self {
            Self::Item(store, Some(record)) => store.check_length(record),
            _ => Ok(()),
        }
    }

    /// Writes what was prepared. The caller holds the commit locks.
    pub(super) async fn replace_under_locks(self) -> Result<Swap> {
        match self {
            Self::Item(store, record) => {
                store.replace_under_locks(record).await.map(|()| Swap::Done)
            }
            #[cfg(feature = "encrypted")]
            Self::File(store, sealed) => store.replace_under_locks(*sealed).await,
        }
    }
}
