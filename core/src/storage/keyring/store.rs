//! The login as an item of the keyring.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::item::KeyringItem;
use super::patient::PatientKeyring;
use super::provider::Keyring;
use super::writing::{UnderWay, Writing, version};
use crate::auth_dot_json::AuthDotJson;
use crate::description::StorePlaces;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::storage::content::version_of;
use crate::storage::home::Home;
use crate::storage::home_store::HomeStore;
use crate::storage::{Loaded, Readiness, Swap, Version};

/// The login of a `CODEX_HOME` in the keyring.
///
/// The item is the Codex CLI's: each program finds what the other stores. This store writes under
/// the CLI's two commit locks and by compare-and-swap, and removes `auth.json` once the keyring
/// holds the record.
#[derive(Debug, Clone)]
pub struct KeyringStorage {
    home: Home,
    environment: Environment,
    keyring: PatientKeyring,
    writing: Writing,
}

impl KeyringStorage {
    /// Creates the store of the folder `codex_home`, which is resolved at each use and need not
    /// exist: the first login that is saved makes it.
    pub fn new(
        codex_home: impl AsRef<Path>,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        Self::in_home(Home::of(codex_home.as_ref(), environment.clone()), keyring, environment)
    }

    /// Creates the store of `home`.
    pub(in crate::storage) fn in_home(
        home: Home,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        let keyring = PatientKeyring::new(keyring, environment.clone());
        Self { home, environment, keyring, writing: Writing::default() }
    }

    /// Returns the item that holds the login. Its name depends on where the folder is now.
    pub fn item(&self) -> KeyringItem {
        KeyringItem::login(&self.home.real_path_now())
    }

    /// Returns the item that holds the login, however long the system takes to tell where the folder
    /// is.
    async fn item_patiently(&self) -> Result<KeyringItem> {
        Ok(KeyringItem::login(&self.home.real_path_patiently().await?))
    }

    fn parse(&self, value: Option<&Secret>) -> Result<Loaded> {
        let Some(value) = value else { return Ok(Loaded::nothing()) };
        let bytes = value.expose().as_bytes();
        let record = AuthDotJson::parse(bytes).map_err(|invalid| {
            Error::new(
                ErrorKind::StoreCorrupt,
                format!(
                    "{} does not hold a Codex login: {invalid}; remove it and sign in again",
                    self.place()
                ),
            )
        })?;
        Ok(Loaded { record: Some(Arc::new(record)), version: version_of(bytes) })
    }

    /// Fails with `keyring_too_long` if the keyring would not take `record`.
    pub(in crate::storage) fn check_length(&self, record: &AuthDotJson) -> Result<()> {
        self.keyring.check_length(record.to_json().expose().len())
    }

    /// Returns the version of what the item holds. The caller holds the commit locks.
    pub(in crate::storage) async fn version_under_locks(&self) -> Result<Version> {
        self.writing.check()?;
        let found = self.keyring.get_under_locks(&self.item_patiently().await?).await?;
        let version = version(found.as_ref());
        self.writing.compared(&version);
        Ok(version)
    }

    /// Writes the item, or removes it if `record` is none. The caller holds the commit locks and has
    /// compared the item's version. A write that is not answered in time goes on after the locks are
    /// released, and no other write begins until it ends.
    pub(in crate::storage) async fn replace_under_locks(
        &self,
        record: Option<&AuthDotJson>,
    ) -> Result<()> {
        let value = record.map(AuthDotJson::to_json);
        if let Some(value) = &value {
            self.keyring.check_length(value.expose().len())?;
        }
        let under_way = self.writing.begin(version(value.as_ref()))?;
        let (sender, receiver) = oneshot::channel();
        let (store, item) = (self.clone(), self.item_patiently().await?);
        let write = async move {
            let answer = store.keyring.write(&item, value.as_ref()).await;
            if sender.is_closed() {
                store.look_again(&item, &under_way).await;
            }
            drop(under_way);
            // No caller listens to an answer that came too late.
            drop(sender.send(answer));
        };
        self.environment.spawner.spawn(Box::pin(write)).map_err(|error| unanswered(&error))?;
        let answer = async { receiver.await.unwrap_or_else(|error| Err(unanswered(&error))) };
        self.keyring.within_locks(answer).await
    }

    /// Looks at the item after a write that ended late.
    async fn look_again(&self, item: &KeyringItem, under_way: &UnderWay) {
        if let Err(error) = self.put_back(item, under_way).await {
            tracing::warn!(%error, "a newer login in the keyring may have been overwritten");
        }
    }

    /// Puts back what another program had stored, if the late write has overwritten it.
    async fn put_back(&self, item: &KeyringItem, under_way: &UnderWay) -> Result<()> {
        let _locks = self.home.commit_locks_alone().await?;
        let found = self.keyring.get_under_locks(item).await?;
        let found = version(found.as_ref());
        let Some(newer) = under_way.overwritten(&found) else { return Ok(()) };
        tracing::warn!("a late write came over a newer login in the keyring; putting that back");
        self.keyring.within_locks(self.keyring.write(item, newer.as_ref())).await
    }
}

impl HomeStore for KeyringStorage {
    fn home(&self) -> &Home {
        &self.home
    }

    fn place(&self) -> String {
        format!("the keyring's item {}", self.item())
    }

    async fn read(&self) -> Result<Loaded> {
        let value = self.keyring.get(&self.item_patiently().await?).await?;
        self.writing.saw(value.as_ref());
        self.parse(value.as_ref())
    }

    async fn swap(&self, expected: &Version, record: Option<&AuthDotJson>) -> Result<Swap> {
        let locks = self.home.commit_locks_alone().await?;
        if self.version_under_locks().await? != *expected {
            return Ok(Swap::Conflict);
        }
        self.replace_under_locks(record).await?;
        self.home.remove_auth_json(locks).await;
        Ok(Swap::Done)
    }

    async fn prove(&self, size: usize) -> Result<Readiness> {
        self.keyring.check_length(size)?;
        self.home.clean_up(self.home.commit_locks_alone().await?).await?;
        self.version_under_locks().await?;
        self.keyring.prove_ready(&self.item_patiently().await?).await?;
        Ok(Readiness::default())
    }

    async fn places(&self) -> StorePlaces {
        let places = self.home.describe().await;
        self.keyring.describe_in(places, self.item_patiently().await).await
    }
}

fn unanswered(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::KeyringUnavailable, format!("the keyring was not written: {cause}"))
}
