//! The folder of a login: where it is, its creation, its locks, what their holders leave for each
//! other, and what the dead among them have left behind. For all stores that have something there.

mod commit_locks;
mod ledger_file;
mod record_lock;
mod refresh_lock;
mod surroundings;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

pub(super) use self::commit_locks::CommitLocks;
#[cfg(all(unix, feature = "test-util"))]
pub(crate) use self::commit_locks::with_suffix;
use self::ledger_file::LedgerFile;
use self::refresh_lock::{HeldLock, Locks};
use super::file_calls::FileCalls;
use super::file_error::{unreadable, unwritable};
use super::replacement::Replacement;
use super::target::Target;
use super::{RefreshLock, busy_file, content, in_place, ownership, real_path, temp_file};
use crate::auth_dot_json::AuthDotJson;
#[cfg(feature = "encrypted")]
use crate::description::Place;
use crate::description::StorePlaces;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;

/// A `CODEX_HOME`. Clones are one home.
#[derive(Debug, Clone)]
pub(crate) struct Home(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// As it was named, and absolute. It is resolved at each use: it may be made, moved or linked
    /// to somewhere else at any time.
    path: PathBuf,
    auth_json: PathBuf,
    environment: Environment,
    calls: FileCalls,
    /// Whether it was ever seen: only then it can be gone.
    was_there: AtomicBool,
    /// The refresh lock, while it is held through this.
    lock: ArcSwapOption<Weak<Locks>>,
}

impl Home {
    /// The home at `path`, which need not exist.
    pub(crate) fn of(path: &Path, environment: Environment) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let auth_json = path.join("auth.json");
        let looked_at = [auth_json.clone(), path.join("secrets")];
        Self(Arc::new(Shared {
            calls: FileCalls::on(&path, looked_at, environment.clone()),
            path,
            auth_json,
            environment,
            was_there: AtomicBool::new(false),
            lock: ArcSwapOption::empty(),
        }))
    }

    /// The folder, as it was named.
    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// The path of `auth.json`. Its place also tells where the locks are.
    pub(super) fn auth_json(&self) -> &Path {
        &self.0.auth_json
    }

    /// The way in which calls on what is in the folder are made.
    pub(super) fn calls(&self) -> &FileCalls {
        &self.0.calls
    }

    /// The folder by its real path, if it exists. The keyring's items are named after it, so it is
    /// written as the Codex CLI has it from the system.
    pub(super) fn real_path(&self) -> PathBuf {
        self.path().canonicalize().unwrap_or_else(|_| self.path().to_owned())
    }

    /// The real path, however long the system takes to tell it.
    pub(super) async fn real_path_patiently(&self) -> Result<PathBuf> {
        let home = self.clone();
        self.calls().make(move || Ok(home.real_path())).await
    }

    /// The real path for a caller that cannot wait; as it was named where it cannot be looked at.
    pub(super) fn real_path_now(&self) -> PathBuf {
        let home = self.clone();
        let found = self.calls().make_now(move || Ok(home.real_path()));
        found.unwrap_or_else(|_| self.path().to_owned())
    }

    /// The home that all links lead to now, which stays the same when one of them is moved. It may go
    /// without a word: what no link leads to any more was removed.
    pub(super) async fn resolved(&self) -> Result<Self> {
        let home = self.clone();
        let resolve = move || {
            Ok(Self(Arc::new(Shared {
                path: real_path::of(home.path()).unwrap_or_else(|_| home.path().to_owned()),
                auth_json: home.target()?.path,
                environment: home.0.environment.clone(),
                calls: home.calls().clone(),
                was_there: AtomicBool::new(false),
                lock: ArcSwapOption::empty(),
            })))
        };
        self.calls().make(resolve).await
    }

    /// Whether the folder is there, for a caller that cannot wait.
    pub(crate) fn is_there(&self) -> Result<bool> {
        let home = self.clone();
        self.calls().make_now(move || Ok(home.path().is_dir()))
    }

    /// A home that is gone is no logout: it may be a volume that is about to be mounted again.
    pub(super) fn check(&self) -> Result<()> {
        let is_there = self.path().try_exists();
        if is_there.map_err(|error| unreadable(self.path(), &error))? {
            self.note_presence();
            return Ok(());
        }
        if !self.0.was_there.load(Ordering::Relaxed) {
            return Ok(());
        }
        let home = self.path().display();
        let message = format!("{home} is gone; put it back, or make it and sign in again");
        Err(Error::new(ErrorKind::StoreUnavailable, message))
    }

    /// Notes that the folder is there: something was found in it.
    pub(super) fn note_presence(&self) {
        self.0.was_there.store(true, Ordering::Relaxed);
    }

    /// Makes the folder where there was none, for its owner only. Whatever writes there calls this
    /// first; what only reads never does.
    pub(super) fn create(&self) -> Result<()> {
        self.check()?;
        ownership::make_folder(self.path())
            .map_err(|error| unwritable("make", self.path(), &error))?;
        self.note_presence();
        Ok(())
    }

    /// Where a write of `auth.json` goes.
    pub(super) fn target(&self) -> Result<Target> {
        Target::resolve(self.auth_json())
    }

    /// Warns if every user may write to the folder. The Codex CLI accepts such a folder, so it is no
    /// error; what other users can do to the login there, no program of its owner can prevent.
    pub(super) fn warn_if_open(&self) {
        let is_near = !self.calls().may_hang();
        if is_near && self.path().metadata().is_ok_and(|home| ownership::may_all_write(&home)) {
            let home = self.path().display();
            tracing::warn!(%home, "every user may write to the folder of the login; take that right away (chmod go-w)");
        }
    }

    /// Takes the refresh lock, if it is free, for a store that keeps no login in `auth.json`.
    pub(super) async fn try_lock(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        self.try_locks(false).await
    }

    /// Takes the refresh lock, if it is free, for a store that may keep a login in `auth.json`, which
    /// is locked too. Not on Windows, where others could not read it then, nor by a network,
    /// where such a lock is of another kind.
    pub(super) async fn try_lock_with_auth_json(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        self.try_locks(self.locks_auth_json()).await
    }

    fn locks_auth_json(&self) -> bool {
        cfg!(unix) && !self.calls().may_hang()
    }

    /// Describes what is in the folder, for a store that keeps no login in `auth.json`.
    pub(super) async fn describe(&self) -> StorePlaces {
        self.surroundings(false).await
    }

    /// Describes what is in the folder, for a store that may keep a login in `auth.json`.
    pub(super) async fn describe_with_auth_json(&self) -> StorePlaces {
        self.surroundings(self.locks_auth_json()).await
    }

    async fn surroundings(&self, with_auth_json: bool) -> StorePlaces {
        let home = self.clone();
        let look =
            move || Ok(surroundings::describe(home.path(), home.auth_json(), with_auth_json));
        self.calls().make(look).await.unwrap_or_else(|error| StorePlaces {
            problem: Some(error.to_string()),
            ..StorePlaces::default()
        })
    }

    /// Describes the file at `path` in the folder; none if it cannot be looked at.
    #[cfg(feature = "encrypted")]
    pub(super) async fn describe_file(&self, path: &Path) -> Option<Place> {
        let path = path.to_owned();
        self.calls().make(move || Ok(surroundings::place(&path, &path))).await.ok()
    }

    async fn try_locks(&self, with_auth_json: bool) -> Result<Option<Box<dyn RefreshLock>>> {
        let home = self.clone();
        let locks = self.calls().make(move || {
            home.create()?;
            let locks = Locks::try_acquire(home.path(), home.auth_json(), with_auth_json)?;
            let locks = locks.map(Arc::new);
            if let Some(locks) = &locks {
                home.0.lock.store(Some(Arc::new(Arc::downgrade(locks))));
            }
            Ok(locks.map(|locks| home.calls().keep(locks)))
        });
        let lock = |locks| Box::new(HeldLock::new(locks, self.calls())) as Box<dyn RefreshLock>;
        Ok(locks.await?.map(lock))
    }

    /// What the last holders of the refresh lock left, read without it.
    pub(super) fn ledger(&self) -> Ledger {
        let home = self.clone();
        let read = self.calls().make_now(move || home.ledger_file().map(|file| file.read()));
        read.unwrap_or_default()
    }

    /// The ledger of the folder that `auth.json` is in. Only a link is followed, which costs a dozen calls
    /// of the system: the ledger is read often.
    fn ledger_file(&self) -> Result<LedgerFile> {
        let is_link = self.auth_json().symlink_metadata().is_ok_and(|found| found.is_symlink());
        if is_link {
            return Ok(LedgerFile::in_folder(&self.target()?.folder));
        }
        Ok(LedgerFile::in_folder(self.path()))
    }

    /// Takes the commit locks of `target`, waiting for programs that are saving.
    pub(super) async fn commit_locks(&self, target: &Target) -> Result<CommitLocks> {
        commit_locks::acquire(self.path(), target, self.calls(), &self.0.environment).await
    }

    /// Makes the home if need be; where a write of `auth.json` goes.
    pub(super) async fn target_for_write(&self) -> Result<Target> {
        let home = self.clone();
        let target = self.calls().make(move || {
            home.create()?;
            home.target()
        });
        target.await
    }

    /// Takes the commit locks where there is nothing else to be done with `auth.json`.
    pub(super) async fn commit_locks_alone(&self) -> Result<CommitLocks> {
        self.commit_locks(&self.target_for_write().await?).await
    }

    /// Proves that `size` bytes can be put at `target`, under the commit `locks`, and gives the temp
    /// file that they are to be put in.
    pub(super) fn prove(
        &self,
        target: &Target,
        locks: CommitLocks,
        size: usize,
    ) -> Result<Replacement> {
        self.remove_leftovers(&target.folder);
        target.check_writable()?;
        if target.existing.is_some() {
            in_place::prove(target, size)
                .map_err(|error| unwritable("write", &target.path, &error))?;
        }
        drop(locks.take());
        Replacement::prepare(target, size)
    }

    /// Returns the records in the temp files of programs that died.
    pub(super) async fn leftovers(&self) -> Result<Vec<AuthDotJson>> {
        let home = self.clone();
        let read = self.calls().make(move || {
            let folder = home.target()?.folder;
            let contents = temp_file::all(&folder).filter_map(|path| content::read_own(&path));
            Ok(contents.filter_map(|bytes| AuthDotJson::parse(&bytes).ok()).collect())
        });
        read.await
    }

    /// Returns whether there is a temp file, also one that a living program is about to use.
    pub(super) async fn has_leftovers(&self) -> Result<bool> {
        let home = self.clone();
        let look = move || Ok(temp_file::all(&home.target()?.folder).next().is_some());
        self.calls().make(look).await
    }

    /// Removes the temp files of programs that died. Not without the refresh lock: its holder has
    /// one that it is about to need. For holders of the commit locks.
    pub(super) fn remove_leftovers(&self, folder: &Path) {
        let lock = self.0.lock.load().as_deref().and_then(Weak::upgrade);
        let Some(lock) = lock.filter(|lock| lock.is_own()) else { return };
        temp_file::remove_all(folder);
        if lock.ledger().folder() != folder {
            temp_file::remove_all(lock.ledger().folder());
        }
    }

    /// Removes what programs that died have left in the folder of `auth.json`, for stores that have
    /// nothing else there; gives the commit `locks` back.
    pub(super) async fn clean_up(&self, locks: CommitLocks) -> Result<()> {
        let home = self.clone();
        let cleaned = self.calls().make(move || {
            home.remove_leftovers(&home.target()?.folder);
            drop(locks.take());
            Ok(())
        });
        cleaned.await
    }

    /// Removes the `auth.json` whose place another store has taken, and gives the commit `locks`
    /// back. A failure is a warning, as with the Codex CLI: the other store is what is read.
    pub(super) async fn remove_auth_json(&self, locks: CommitLocks) {
        let home = self.clone();
        let removed = self.calls().make(move || {
            let found = content::read(home.auth_json()).ok().flatten();
            if found.is_some_and(|bytes| AuthDotJson::parse(&bytes).is_err()) {
                // It is no login that the other store took over.
                return Ok(());
            }
            let remove = || std::fs::remove_file(home.auth_json());
            let removed = match busy_file::wait_to_replace(remove) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(unwritable("remove", home.auth_json(), &error))
                }
                _ => Ok(()),
            };
            drop(locks.take());
            removed
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, "another store holds the login, and auth.json is still there");
        }
    }
}
