//! `auth.json` in `CODEX_HOME`, as the Codex CLI keeps it.

mod auth_file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::auth_file::{AuthFile, Found};
use super::content::{TORN_FOR, folders_of, stamp_of, version_at};
use super::home::Home;
use super::replacement;
use super::target::Target;
use super::{AuthStorage, Loaded, Readiness, RefreshLock, Stamp, Swap, Version};
use crate::auth_dot_json::{AuthDotJson, InvalidRecord};
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::secret::Secret;

/// The login in a `CODEX_HOME` folder.
///
/// Writes replace the file as a whole, under the two locks of the Codex CLI, and reads survive
/// writers that truncate it in place. On file systems behind a network or another program no call
/// is waited for without end, and none is made on the caller's thread.
#[derive(Debug)]
pub struct FileStorage {
    file: Arc<AuthFile>,
    environment: Environment,
}

/// Removes the temp file that was not needed.
struct Discard(Arc<AuthFile>);

impl Drop for Discard {
    fn drop(&mut self) {
        self.0.discard();
    }
}

impl FileStorage {
    /// The store of the folder `codex_home`, which is resolved at each use and need not exist: the
    /// first login that is saved there makes it.
    pub fn new(codex_home: impl AsRef<Path>, environment: Environment) -> Self {
        Self::in_home(Home::of(codex_home.as_ref(), environment.clone()), environment)
    }

    /// The store of `home`.
    pub(super) fn in_home(home: Home, environment: Environment) -> Self {
        home.warn_if_open();
        Self { file: Arc::new(AuthFile::of(home)), environment }
    }

    pub(super) fn home(&self) -> &Home {
        self.file.home()
    }

    /// The path of `auth.json`.
    pub fn path(&self) -> &Path {
        self.home().auth_json()
    }

    fn corrupt(&self, invalid: &InvalidRecord) -> Error {
        Error::new(
            ErrorKind::StoreCorrupt,
            format!(
                "{} does not hold a Codex login: {invalid}; repair it, or move it away and sign in again",
                self.path().display()
            ),
        )
    }

    /// What `call` on the file comes to.
    async fn make<T: Send + 'static>(
        &self,
        call: impl FnOnce(&AuthFile) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let file = Arc::clone(&self.file);
        self.home().calls().make(move || call(&file)).await
    }

    /// What the file holds now, whole or not.
    pub(super) async fn look(&self) -> Result<Found> {
        self.make(AuthFile::read).await
    }

    async fn load_patiently(&self) -> Result<Loaded> {
        let clock = &self.environment.clock;
        let start = clock.elapsed();
        loop {
            match self.look().await? {
                Ok(loaded) => return Ok(loaded),
                Err(invalid) if clock.elapsed() - start >= TORN_FOR => {
                    return Err(self.corrupt(&invalid));
                }
                Err(_) => self.environment.poll_pause(clock.elapsed() - start).await,
            }
        }
    }

    async fn swap(&self, expected: &Version, content: Option<Secret>) -> Result<Swap> {
        let content = content.map(Arc::new);
        let write = self.make(move |file| file.prepare(content)).await?;
        let write = self.home().calls().keep(write);
        let locks = self.home().commit_locks(&write.target).await?;
        let expected = expected.clone();
        self.make(move |file| file.put(write.take(), &expected, locks)).await
    }

    /// The version of what the file holds, whole or not.
    pub(super) async fn version_now(&self) -> Result<Version> {
        self.make(|file| version_at(file.home().auth_json())).await
    }

    /// Removes the file. For holders of the commit locks of `target`.
    pub(super) async fn remove_under_locks(&self, target: Target) -> Result<()> {
        let removed = self.make(move |_| {
            replacement::remove(&target)?;
            replacement::sync(&target);
            Ok(())
        });
        removed.await
    }

    async fn clean_up(&self) -> Result<()> {
        let Some(_lock) = self.try_lock().await? else { return Ok(()) };
        self.home().clean_up(self.home().commit_locks_alone().await?).await
    }

    async fn prove_ready(&self, size: usize) -> Result<Readiness> {
        let target = self.home().target_for_write().await?;
        let locks = self.home().commit_locks(&target).await?;
        self.make(move |file| file.prove(&target, locks, size)).await?;
        Ok(Readiness::kept_by(self.home().calls().keep(Discard(Arc::clone(&self.file)))))
    }
}

impl AuthStorage for FileStorage {
    fn location(&self) -> String {
        self.path().display().to_string()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.load_patiently())
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        if self.home().calls().may_hang() {
            return None;
        }
        self.file.read().map(Result::ok).transpose()
    }

    fn stamp(&self) -> Option<Stamp> {
        (!self.home().calls().may_hang()).then(|| stamp_of(self.path()))
    }

    fn watched_folders(&self) -> Vec<PathBuf> {
        // Where others write by a network or another program, the system does not tell.
        if self.home().calls().may_hang() { Vec::new() } else { folders_of(self.path()) }
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(self.swap(expected, Some(record.to_json_pretty())))
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(self.swap(expected, None))
    }

    fn ready(&self, size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(self.prove_ready(size))
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<AuthDotJson>>> {
        Box::pin(self.make(AuthFile::leftovers))
    }

    fn remove_leftovers(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.clean_up())
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(self.home().try_lock_with_auth_json())
    }

    fn ledger(&self) -> Ledger {
        self.home().ledger()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn g9_the_temp_files_of_dead_programs_are_removed_unless_another_process_is_at_work() {
        let folder = tempfile::tempdir().expect("a folder");
        let [store, other] =
            [(); 2].map(|()| FileStorage::new(folder.path(), Environment::default()));
        let temp = folder.path().join(".codex-auth-sdk-Abc123.tmp");
        let link = folder.path().join(".codex-auth-sdk-Link00.tmp");
        let record = AuthDotJson::parse(br#"{"OPENAI_API_KEY": "sk-left"}"#).expect("a record");
        std::fs::write(&temp, record.to_json().expose()).expect("written");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&temp, &link).expect("linked");
        assert_eq!(store.leftovers().await.expect("readable"), [record]);

        let lock = other.try_lock().await.expect("a lock").expect("free");
        store.remove_leftovers().await.expect("not now");
        assert!(temp.exists());
        drop(lock);
        store.remove_leftovers().await.expect("removed");
        assert!(!temp.exists() && store.leftovers().await.expect("readable").is_empty());
        assert_eq!(link.symlink_metadata().is_ok(), cfg!(unix), "it is no file of ours");
    }
}
