//! A place that a login is moved from or to, and where beside it the login waits meanwhile.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    AuthStorage, EncryptedStorage, FileStorage, KeyringStorage, PostgresOptions, PostgresStorage,
    StoreKind, keyring,
};
use crate::environment::Environment;
use crate::error::Result;
use crate::option_value::invalid;
use crate::secret::Secret;

/// The folder in a home where logins wait, in a folder for each kind of store: a keyring's store
/// removes the `auth.json` beside it.
pub(super) const FOLDER: &str = ".codex-auth-sdk-move";

/// A place that a login is moved from or to.
pub(crate) struct Place {
    /// The store of the place.
    pub(crate) storage: Arc<dyn AuthStorage>,
    /// A store of the same kind in which no program looks for a login, so that no program redeems the
    /// login that waits there.
    pub(crate) parking: Arc<dyn AuthStorage>,
    /// The folder whose refresh lock is that of the place; none if the place has one of its own.
    pub(crate) home: Option<PathBuf>,
    /// The stores that lose their logins to a write of the place, or to a removal there.
    pub(crate) displaced: Vec<Arc<dyn AuthStorage>>,
}

impl Place {
    /// Opens the place that `kind` names, in `home` if it is in a home.
    ///
    /// # Errors
    ///
    /// `invalid_option` if logins cannot be moved from or to such a store, or its URL makes no sense.
    pub(crate) fn open(kind: &StoreKind, home: &Path, environment: &Environment) -> Result<Self> {
        let environment = || environment.clone();
        let keyring = keyring::system_keyring;
        match kind {
            StoreKind::File => {
                Ok(Self::in_home(kind, home, |home| FileStorage::new(home, environment())))
            }
            StoreKind::Keyring => {
                let open = |home: &Path| KeyringStorage::new(home, keyring(), environment());
                Ok(Self::in_home(kind, home, open)
                    .displacing(FileStorage::new(home, environment())))
            }
            StoreKind::Encrypted => {
                let open = |home: &Path| EncryptedStorage::new(home, keyring(), environment());
                Ok(Self::in_home(kind, home, open)
                    .displacing(FileStorage::new(home, environment()))
                    .displacing(KeyringStorage::new(home, keyring(), environment())))
            }
            StoreKind::Postgres(url) => Self::in_database(url, environment()),
            _ => {
                let problem = "and a login cannot be moved from or to such a store";
                let fix = "name file, keyring, encrypted, or the URL of a database";
                Err(invalid("store", kind.name(), problem, fix))
            }
        }
    }

    fn in_home<S: AuthStorage + 'static>(
        kind: &StoreKind,
        home: &Path,
        open: impl Fn(&Path) -> S,
    ) -> Self {
        Self {
            storage: Arc::new(open(home)),
            parking: Arc::new(open(&home.join(FOLDER).join(kind.name()))),
            home: Some(home.to_owned()),
            displaced: Vec::new(),
        }
    }

    fn displacing(mut self, store: impl AuthStorage + 'static) -> Self {
        self.displaced.push(Arc::new(store));
        self
    }

    fn in_database(url: &Secret, environment: Environment) -> Result<Self> {
        let storage = PostgresStorage::new(url, PostgresOptions::default(), environment)?;
        let parking = Arc::new(storage.parking()?);
        Ok(Self { storage: Arc::new(storage), parking, home: None, displaced: Vec::new() })
    }

    /// Says which refresh lock is that of the place.
    pub(crate) fn lock_name(&self) -> String {
        self.home.as_ref().map_or_else(|| self.location(), |home| home.display().to_string())
    }

    /// Says where the place is, without a secret.
    pub(crate) fn location(&self) -> String {
        self.storage.location()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.location()).finish()
    }
}
