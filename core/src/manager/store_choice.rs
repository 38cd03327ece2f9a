//! Chooses and opens the store of a login.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::description::ChosenBy;
use crate::environment::Environment;
use crate::error::Result;
use crate::option_value::invalid;
use crate::secret::Secret;
#[cfg(feature = "encrypted")]
use crate::storage::EncryptedStorage;
use crate::storage::agent::AgentStorage;
use crate::storage::codex_config::CodexStore;
use crate::storage::environment_variable::EnvironmentVariable;
use crate::storage::store_kind::StoreKind;
use crate::storage::{
    AuthStorage, AutoStorage, EphemeralStorage, FileStorage, KeyringStorage, keyring,
};
#[cfg(feature = "postgres")]
use crate::storage::{PostgresOptions, PostgresStorage};
use crate::variable;

/// What the store of a login is chosen by.
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "`login` and `request_timeout` are for a store in a database")
)]
pub(super) struct StoreChoice<'a> {
    pub(super) home: &'a Path,
    pub(super) kind: &'a StoreKind,
    pub(super) login: &'a LoginChoice,
    pub(super) request_timeout: Duration,
    pub(super) enable_codex_api_key_env: bool,
    pub(super) environment: &'a Environment,
}

/// What names one login of a store that has many.
#[derive(Debug, Default)]
pub(super) struct LoginChoice {
    pub(super) login: Option<String>,
    pub(super) store_key: Option<Secret>,
}

impl LoginChoice {
    /// Fails where the store has one login, so that this would choose nothing.
    ///
    /// # Errors
    ///
    /// `invalid_option`
    pub(super) fn check_for(&self, is_of_many: bool) -> Result<()> {
        let named = match (&self.login, &self.store_key) {
            _ if is_of_many => return Ok(()),
            (Some(_), _) => "login",
            (None, Some(_)) => "store_key",
            (None, None) => return Ok(()),
        };
        let problem = "and only a store in a database has many logins, and a key";
        let fix = "take it out, or set the option store to the URL of the database";
        Err(invalid(named, "a text (not shown)", problem, fix))
    }
}

/// Which store a manager has, and why it is this one.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreOrigin {
    pub(super) kind: &'static str,
    pub(super) by: ChosenBy,
}

impl StoreOrigin {
    /// A store that the program has made.
    pub(super) const CUSTOM: Self = Self { kind: "custom", by: ChosenBy::Option };
}

impl StoreChoice<'_> {
    /// Opens the store of the kind that is asked for, or the one that the Codex CLI uses.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the CLI's configuration, the kind or a variable makes no sense.
    pub(super) fn open(&self) -> Result<(Arc<dyn AuthStorage>, StoreOrigin)> {
        if *self.kind != StoreKind::Codex {
            let origin = StoreOrigin { kind: self.kind.name(), by: ChosenBy::Option };
            return Ok((self.open_store(self.kind, false)?, origin));
        }
        let home = self.home;
        // The Codex CLI looks in this order.
        let environment = StoreOrigin { kind: "environment", by: ChosenBy::Environment };
        if let Some(key) = self.api_key_of_environment()? {
            return Ok((Arc::new(key), environment));
        }
        let ephemeral = EphemeralStorage::shared(home);
        if ephemeral.record().is_some() {
            let origin = StoreOrigin { kind: StoreKind::Ephemeral.name(), by: ChosenBy::Memory };
            return Ok((Arc::new(ephemeral), origin));
        }
        if let Some(token) = access_token_of_environment()? {
            return Ok((Arc::new(token), environment));
        }
        let configured = CodexStore::configured(home, self.environment)?;
        let CodexStore { kind, is_named, is_encrypted } = configured;
        let by = if is_named { ChosenBy::Config } else { ChosenBy::Default };
        let storage = self.open_store(&kind, is_encrypted)?;
        let is_sealed = is_encrypted && kind == StoreKind::Keyring;
        let kind = if is_sealed { StoreKind::Encrypted } else { kind };
        Ok((storage, StoreOrigin { kind: kind.name(), by }))
    }

    fn open_store(&self, kind: &StoreKind, is_encrypted: bool) -> Result<Arc<dyn AuthStorage>> {
        let (home, environment) = (self.home, || self.environment.clone());
        match (kind, is_encrypted) {
            (StoreKind::Ephemeral, _) => Ok(Arc::new(EphemeralStorage::shared(home))),
            (StoreKind::Encrypted, _) | (StoreKind::Keyring | StoreKind::Auto, true) => {
                self.open_encrypted(*kind == StoreKind::Auto)
            }
            (StoreKind::Keyring, false) => {
                Ok(Arc::new(KeyringStorage::new(home, keyring::system_keyring(), environment())))
            }
            (StoreKind::Auto, false) => {
                Ok(Arc::new(AutoStorage::new(home, keyring::system_keyring(), environment())))
            }
            (StoreKind::Agent(address), _) => {
                Ok(Arc::new(AgentStorage::new(address, environment())?))
            }
            (StoreKind::File | StoreKind::Codex, _) => {
                Ok(Arc::new(FileStorage::new(home, environment())))
            }
            (StoreKind::Postgres(url), _) => self.open_postgres(url),
        }
    }

    #[cfg(feature = "postgres")]
    fn open_postgres(&self, url: &Secret) -> Result<Arc<dyn AuthStorage>> {
        let options = PostgresOptions {
            login: self.login.login.clone(),
            store_key: self.login.store_key.clone(),
            request_timeout: self.request_timeout,
        };
        Ok(Arc::new(PostgresStorage::new(url, options, self.environment.clone())?))
    }

    #[cfg(not(feature = "postgres"))]
    fn open_postgres(&self, _: &Secret) -> Result<Arc<dyn AuthStorage>> {
        let problem = "and this program was built without the feature `postgres`";
        Err(invalid("store", "a database", problem, "build it with that, or use another store"))
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
