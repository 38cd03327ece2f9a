//! `auth.json` in `CODEX_HOME`, as the Codex CLI keeps it.

mod auth_file;

use std::path::Path;
use std::sync::Arc;

use self::auth_file::{AuthFile, Broken, Found};
use super::content::{TORN_FOR, version_at};
use super::home::Home;
use super::home_store::HomeStore;
use super::target::Target;
use super::{Loaded, Readiness, RefreshLock, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::description::StorePlaces;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};

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

    /// The path of `auth.json`.
    pub fn path(&self) -> &Path {
        self.home().auth_json()
    }

    fn corrupt(&self, broken: &Broken) -> Error {
        Error::new(
            ErrorKind::StoreCorrupt,
            format!(
                "{} does not hold a Codex login: {}; repair it, or move it away and sign in again",
                self.path().display(),
                broken.why
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
    async fn look(&self) -> Result<Found> {
        self.make(AuthFile::read).await
    }

    /// The record that the file holds now, if it holds one.
    pub(super) async fn record_now(&self) -> Option<Arc<AuthDotJson>> {
        self.look().await.ok()?.ok()?.record
    }

    /// The version of what the file holds, whole or not.
    pub(super) async fn version_now(&self) -> Result<Version> {
        self.make(|file| version_at(file.home().auth_json())).await
    }

    /// Removes the file; what is no login is kept beside it. For holders of the commit locks of
    /// `target`.
    pub(super) async fn remove_under_locks(&self, target: Target) -> Result<()> {
        self.make(move |file| file.remove(&target)).await
    }

    /// What the file holds, once a writer had time to end.
    async fn found(&self) -> Result<Found> {
        let clock = &self.environment.clock;
        let start = clock.elapsed();
        loop {
            let found = self.look().await?;
            let waited = clock.elapsed() - start;
            if !self.file.is_in_between(&found) {
                return Ok(found);
            }
            if waited >= TORN_FOR {
                return Ok(self.file.believe(found));
            }
            self.environment.poll_pause(waited).await;
        }
    }
}

impl HomeStore for FileStorage {
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
        self.found().await?.map_err(|broken| self.corrupt(&broken))
    }

    async fn read_to_replace(&self) -> Result<Loaded> {
        let found = self.found().await?;
        Ok(found.unwrap_or_else(|broken| Loaded { record: None, version: broken.version }))
    }

    fn read_now(&self) -> Option<Result<Loaded>> {
        let found = self.file.read();
        let is_in_between = found.as_ref().is_ok_and(|found| self.file.is_in_between(found));
        found.map(|found| found.ok().filter(|_| !is_in_between)).transpose()
    }

    async fn swap(&self, expected: &Version, record: Option<&AuthDotJson>) -> Result<Swap> {
        let content = record.map(|record| Arc::new(record.to_json_pretty()));
        let write = self.make(move |file| file.prepare(content)).await?;
        let write = self.home().calls().keep(write);
        let expected = expected.clone();
        match self.home().commit_locks(&write.target).await {
            Ok(locks) => self.make(move |file| file.put(write.take(), &expected, locks)).await,
            Err(error) => {
                let put_off = move |file: &AuthFile| {
                    file.put_off(write.take(), expected);
                    Ok(())
                };
                self.make(put_off).await?;
                Err(error)
            }
        }
    }

    async fn prove(&self, size: usize) -> Result<Readiness> {
        let target = self.home().target_for_write().await?;
        let locks = self.home().commit_locks(&target).await?;
        self.make(move |file| file.prove(&target, locks, size)).await?;
        Ok(Readiness::kept_by(self.home().calls().keep(Discard(Arc::clone(&self.file)))))
    }

    async fn lock(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        self.home().try_lock_with_auth_json().await
    }

    async fn places(&self) -> StorePlaces {
        self.home().describe_with_auth_json().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::AuthStorage;

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
