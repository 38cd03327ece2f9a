//! Chooses and opens the store of a login.

use std::path::Path;
use std::sync::Arc;

use crate::environment::Environment;
use crate::error::Result;
#[cfg(not(feature = "encrypted"))]
use crate::option_value::invalid;
use crate::secret::Secret;
#[cfg(feature = "encrypted")]
use crate::storage::EncryptedStorage;
use crate::storage::codex_config::CodexStore;
use crate::storage::environment_variable::EnvironmentVariable;
use crate::storage::store_kind::StoreKind;
use crate::storage::{
    AuthStorage, AutoStorage, EphemeralStorage, FileStorage, KeyringStorage, keyring,
};
use crate::variable;

/// What the store of a login is chosen by.
pub(super) struct StoreChoice<'a> {
    pub(super) home: &'a Path,
    pub(super) kind: StoreKind,
    pub(super) enable_codex_api_key_env: bool,
    pub(super) environment: &'a Environment,
}

impl StoreChoice<'_> {
    /// Opens the store of the kind that is asked for, or the one that the Codex CLI uses.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the CLI's configuration, the kind or a variable makes no sense.
    pub(super) fn open(&self) -> Result<Arc<dyn AuthStorage>> {
        let home = self.home;
        if self.kind != StoreKind::Codex {
            return self.open_store(CodexStore { kind: self.kind, is_encrypted: false });
        }
        // The Codex CLI looks in this order.
        if let Some(key) = self.api_key_of_environment()? {
            return Ok(Arc::new(key));
        }
        let ephemeral = EphemeralStorage::shared(home);
        if ephemeral.record().is_some() {
            return Ok(Arc::new(ephemeral));
        }
        match access_token_of_environment()? {
            Some(token) => Ok(Arc::new(token)),
            None => self.open_store(CodexStore::configured(home, self.environment)?),
        }
    }

    fn open_store(&self, store: CodexStore) -> Result<Arc<dyn AuthStorage>> {
        let (home, environment) = (self.home, || self.environment.clone());
        match (store.kind, store.is_encrypted) {
            (StoreKind::Ephemeral, _) => Ok(Arc::new(EphemeralStorage::shared(home))),
            (StoreKind::Encrypted, _) | (StoreKind::Keyring | StoreKind::Auto, true) => {
                self.open_encrypted(store.kind == StoreKind::Auto)
            }
            (StoreKind::Keyring, false) => {
                Ok(Arc::new(KeyringStorage::new(home, keyring::system_keyring(), environment())))
            }
            (StoreKind::Auto, false) => {
                Ok(Arc::new(AutoStorage::new(home, keyring::system_keyring(), environment())))
            }
            (StoreKind::File | StoreKind::Codex, _) => {
                Ok(Arc::new(FileStorage::new(home, environment())))
            }
        }
    }

    fn api_key_of_environment(&self) -> Result<Option<EnvironmentVariable>> {
        if !self.enable_codex_api_key_env {
            return Ok(None);
        }
        let name = "CODEX_API_KEY";
        let key = variable::text(name)?;
        Ok(key.map(|key| EnvironmentVariable::api_key(name, &Secret::new(key))))
    }

    #[cfg(feature = "encrypted")]
    fn open_encrypted(&self, is_auto: bool) -> Result<Arc<dyn AuthStorage>> {
        let keyring = keyring::system_keyring();
        let store = EncryptedStorage::new(self.home, keyring, self.environment.clone());
        if is_auto {
            return Ok(Arc::new(AutoStorage::encrypted(store)));
        }
        Ok(Arc::new(store))
    }

    #[cfg(not(feature = "encrypted"))]
    fn open_encrypted(&self, _: bool) -> Result<Arc<dyn AuthStorage>> {
        Err(invalid(
            "store",
            "an encrypted file",
            "and this program was built without the feature `encrypted`",
            "build it with that, or use the store file, keyring or auto",
        ))
    }
}

fn access_token_of_environment() -> Result<Option<EnvironmentVariable>> {
    let name = "CODEX_ACCESS_TOKEN";
    let token = variable::text(name)?;
    Ok(token.map(|token| EnvironmentVariable::access_token(name, &Secret::new(token))))
}
