//! What a store with a home leaves to it: the refresh lock and the ledger, which are files in the
//! folder of the login wherever the record is.

use std::fmt;
use std::path::{Path, PathBuf};

use super::content::{folders_of, stamp_of};
use super::home::Home;
use super::{AuthStorage, Loaded, Readiness, RefreshLock, Stamp, StoreHolder, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::description::StorePlaces;
use crate::environment::BoxFuture;
use crate::error::Result;
use crate::ledger::Ledger;

/// A store of the record of a [`Home`]. Each is an [`AuthStorage`] whose refresh lock and ledger are
/// those of the home.
pub(crate) trait HomeStore: Send + Sync + fmt::Debug {
    /// Returns the home of the login.
    fn home(&self) -> &Home;

    /// Says where the record is, for error messages, without a secret.
    fn place(&self) -> String;

    /// Returns the path of the file in which alone the record is; none if it is elsewhere, or may be.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// Returns the folders in which something changes whenever the record does.
    fn folders(&self) -> Vec<PathBuf> {
        // The system does not report what other machines or programs write on their file systems.
        near_file(self).map(folders_of).unwrap_or_default()
    }

    /// Reads the record, and waits up to a second for a half-written one to become whole, and for one
    /// that was there and is gone to come back.
    fn read(&self) -> impl Future<Output = Result<Loaded>> + Send;

    /// Reads the record that a sign-in or a logout replaces; none in the place of what is no login.
    fn read_to_replace(&self) -> impl Future<Output = Result<Loaded>> + Send {
        self.read()
    }

    /// Reads the record without waiting; none if that is not possible. It is called only for a
    /// [`file`](Self::file) on which calls cannot hang.
    fn read_now(&self) -> Option<Result<Loaded>> {
        None
    }

    /// Replaces the record of version `expected` by `record`, or removes it if `record` is none.
    fn swap(
        &self,
        expected: &Version,
        record: Option<&AuthDotJson>,
    ) -> impl Future<Output = Result<Swap>> + Send;

    /// Proves that a record of `size` bytes can be written.
    fn prove(&self, size: usize) -> impl Future<Output = Result<Readiness>> + Send;

    /// Takes the refresh lock of the home, if it is free.
    fn lock(&self) -> impl Future<Output = Result<Option<Box<dyn RefreshLock>>>> + Send {
        self.home().try_lock()
    }

    /// Describes where the record is, and what guards it.
    fn places(&self) -> impl Future<Output = StorePlaces> + Send {
        self.home().describe()
    }

    /// Returns where the record was at the last read, for a store that chooses between two places.
    fn last_holder(&self) -> Option<StoreHolder> {
        None
    }
}

/// Returns the file of the record, if there is one and calls on it cannot hang.
fn near_file(store: &(impl HomeStore + ?Sized)) -> Option<&Path> {
    store.file().filter(|_| !store.home().calls().may_hang())
}

impl<S: HomeStore> AuthStorage for S {
    fn location(&self) -> String {
        self.place()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.read())
    }

    fn load_to_replace(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.read_to_replace())
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        near_file(self).and_then(|_| self.read_now())
    }

    fn stamp(&self) -> Option<Stamp> {
        near_file(self).map(stamp_of)
    }

    fn watched_folders(&self) -> Vec<PathBuf> {
        self.folders()
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
        Box::pin(self.prove(size))
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<AuthDotJson>>> {
        Box::pin(self.home().leftovers())
    }

    fn remove_leftovers(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            if !self.home().has_leftovers().await? {
                return Ok(());
            }
            let Some(_lock) = self.lock().await? else { return Ok(()) };
            self.home().clean_up(self.home().commit_locks_alone().await?).await
        })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(self.lock())
    }

    fn ledger(&self) -> Ledger {
        self.home().ledger()
    }

    fn holder(&self) -> Option<StoreHolder> {
        self.last_holder()
    }

    fn describe(&self) -> BoxFuture<'_, StorePlaces> {
        Box::pin(self.places())
    }
}
