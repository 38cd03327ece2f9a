//! `auth.json` in `CODEX_HOME`, as the Codex CLI keeps it.

mod home;
mod in_place;
mod locks;
mod replace;
mod target;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use zeroize::Zeroizing;

pub(super) use self::home::Home;
use self::locks::FileRefreshLock;
pub(super) use self::locks::{CommitLocks, commit_locks, read_ledger};
pub(super) use self::replace::{Replacement, sync};
pub(super) use self::target::Target;
use super::plain_file;
use super::{AuthStorage, Loaded, Readiness, RefreshLock, Stamp, Swap, Version};
use crate::auth_dot_json::{AuthDotJson, InvalidRecord};
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::secret::Fingerprint;

/// How long a half-written file is re-read before it counts as corrupt.
pub(super) const TORN_FOR: Duration = Duration::from_secs(1);

/// What names decide, for tests that give files hostile ones.
#[cfg(all(unix, feature = "test-util"))]
pub(crate) mod names {
    pub(crate) use super::locks::with_suffix;
    pub(crate) use super::replace::{is_temp_name, remove_leftovers};
    pub(crate) use super::target::{Target, is_mounted};
}

/// A login is a few kilobytes; nothing near this is one.
const LARGEST: u64 = 4 * 1024 * 1024;

type Prepared = Arc<ArcSwapOption<Replacement>>;

/// Removes the temp file that nobody needed.
struct Discard(Prepared);

impl Drop for Discard {
    fn drop(&mut self) {
        drop(self.0.swap(None));
    }
}

/// A write in place that failed half-way, and what it left.
#[derive(Debug)]
struct Torn {
    left: Version,
    before: Loaded,
}

/// The login in a `CODEX_HOME` folder.
///
/// Writes replace the file as a whole, under the two locks of the Codex CLI, and reads survive
/// writers that truncate it in place.
#[derive(Debug)]
pub struct FileStorage {
    home: Home,
    path: PathBuf,
    environment: Environment,
    /// The last record read, so that an unchanged file is not parsed again.
    parsed: ArcSwapOption<Loaded>,
    /// The temp file that proved readiness, for the commit that follows.
    prepared: Prepared,
    /// Our own torn write: until another one gets through, the store holds what it held before.
    torn: ArcSwapOption<Torn>,
}

impl FileStorage {
    /// The store of the folder `codex_home`, which is resolved to its real path if it exists.
    pub fn new(codex_home: impl AsRef<Path>, environment: Environment) -> Self {
        let home = Home::of(codex_home.as_ref());
        home.warn_if_open();
        Self {
            path: home.path().join("auth.json"),
            home,
            environment,
            parsed: ArcSwapOption::empty(),
            prepared: Prepared::default(),
            torn: ArcSwapOption::empty(),
        }
    }

    /// The folder, by its real path if it exists.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The path of `auth.json`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Result<Loaded, InvalidRecord>> {
        let Some(bytes) = read_bytes(&self.path)? else {
            self.home.check()?;
            return Ok(Ok(Loaded::nothing()));
        };
        let version = version_of(&bytes);
        if let Some(torn) = self.torn.load().as_deref().filter(|torn| torn.left == version) {
            return Ok(Ok(torn.before.clone()));
        }
        if let Some(parsed) =
            self.parsed.load().as_deref().filter(|parsed| parsed.version == version)
        {
            return Ok(Ok(parsed.clone()));
        }
        Ok(AuthDotJson::parse(&bytes).map(|record| {
            let loaded = Loaded { record: Some(Arc::new(record)), version };
            self.parsed.store(Some(Arc::new(loaded.clone())));
            loaded
        }))
    }

    fn corrupt(&self, invalid: &InvalidRecord) -> Error {
        Error::new(
            ErrorKind::StoreCorrupt,
            format!(
                "{} does not hold a Codex login: {invalid}; repair it, or move it away and sign in again",
                self.path.display()
            ),
        )
    }

    async fn load_patiently(&self) -> Result<Loaded> {
        let clock = &self.environment.clock;
        let start = clock.elapsed();
        loop {
            match self.read()? {
                Ok(loaded) => return Ok(loaded),
                Err(invalid) if clock.elapsed() - start >= TORN_FOR => {
                    return Err(self.corrupt(&invalid));
                }
                Err(_) => self.environment.poll_pause(clock.elapsed() - start).await,
            }
        }
    }

    async fn swap(&self, expected: &Version, content: Option<&[u8]>) -> Result<Swap> {
        let prepared = self.prepared.swap(None).and_then(Arc::into_inner);
        let target = Target::resolve(&self.path)?;
        // Whatever a slow disk can hold up is done before the locks are taken, or after.
        let filled = |content| Replacement::filled(&target, content, prepared);
        let filled = content.map(filled).transpose()?;
        let locks = commit_locks(self.home(), &target, &self.environment).await?;
        let found = self.read()?.ok().filter(|found| found.version == *expected);
        let Some(found) = found else { return Ok(Swap::Conflict) };
        let is_expected = |path: &Path| Ok(version_at(path)? == *expected);
        let swap = match filled.zip(content) {
            Some((replacement, content)) => replacement.put(&target, content, is_expected),
            None => replace::remove(&target).map(|()| Swap::Done),
        };
        if swap.is_err() {
            self.remember_if_torn(found);
        }
        let swap = swap?;
        drop(locks);
        sync(&target)?;
        Ok(swap)
    }

    fn remember_if_torn(&self, before: Loaded) {
        let Ok(Some(bytes)) = read_bytes(&self.path) else { return };
        if in_place::is_torn(&bytes) {
            self.torn.store(Some(Arc::new(Torn { left: version_of(&bytes), before })));
        }
    }

    /// The version of what the file holds, whole or not.
    pub(super) fn version_now(&self) -> Result<Version> {
        version_at(&self.path)
    }

    /// Removes the file. For holders of the commit locks of `target`.
    pub(super) fn remove_under_locks(&self, target: &Target) -> Result<()> {
        replace::remove(target)?;
        sync(target)
    }

    async fn prove_ready(&self, size: usize) -> Result<Readiness> {
        let target = Target::resolve(&self.path)?;
        let locks = commit_locks(self.home(), &target, &self.environment).await?;
        let replacement = prove(&target, locks, size)?;
        self.prepared.store(Some(Arc::new(replacement)));
        Ok(Readiness::kept_by(Discard(Arc::clone(&self.prepared))))
    }
}

impl AuthStorage for FileStorage {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.load_patiently())
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        self.read().map(Result::ok).transpose()
    }

    fn stamp(&self) -> Option<Stamp> {
        Some(stamp_of(&self.path))
    }

    fn watched_folders(&self) -> Vec<PathBuf> {
        folders_of(&self.path)
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async {
            let content = record.to_json_pretty();
            self.swap(expected, Some(content.expose().as_bytes())).await
        })
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(self.swap(expected, None))
    }

    fn ready(&self, size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(self.prove_ready(size))
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(async { try_refresh_lock(self.home(), &self.path) })
    }

    fn ledger(&self) -> Ledger {
        read_ledger(self.home(), &self.path)
    }
}

/// Proves that `size` bytes can be put at `target`, whose locks are held, and gives the temp file
/// that they are to be put in.
pub(super) fn prove(target: &Target, locks: CommitLocks, size: usize) -> Result<Replacement> {
    // Under all locks nobody else has a temp file that is still to be used.
    replace::remove_leftovers(target);
    target.check_writable()?;
    if target.existing.is_some() {
        in_place::prove(target, size).map_err(|error| unwritable("write", &target.path, &error))?;
    }
    drop(locks);
    Replacement::prepare(target, size)
}

/// The content of the file at `path`, if there is one.
pub(super) fn read_bytes(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let error = match plain_file::read(path, LARGEST) {
        Ok(bytes) => return Ok(Some(bytes)),
        Err(error) => error,
    };
    match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        io::ErrorKind::FileTooLarge => Err(Error::new(
            ErrorKind::StoreCorrupt,
            format!("{} is too large to be a Codex login; move it away", path.display()),
        )),
        _ => Err(unreadable(path, &error)),
    }
}

/// The folder of `path`, and that of the file which it really is.
pub(super) fn folders_of(path: &Path) -> Vec<PathBuf> {
    let target = Target::resolve(path).ok().map(|target| target.folder);
    let mut folders: Vec<_> = path.parent().map(Path::to_owned).into_iter().chain(target).collect();
    folders.dedup();
    folders
}

pub(super) fn stamp_of(path: &Path) -> Stamp {
    let state = std::fs::metadata(path).ok();
    Stamp::of(state.map(|file| (file.modified().ok(), file.len(), file_id(&file))))
}

/// The version of what the file at `path` holds, whole or not.
pub(super) fn version_at(path: &Path) -> Result<Version> {
    Ok(read_bytes(path)?.map_or(Version::absent(), |bytes| version_of(&bytes)))
}

/// The refresh lock of the login in `home`, if it is free.
pub(super) fn try_refresh_lock(
    home: &Path,
    auth_json: &Path,
) -> Result<Option<Box<dyn RefreshLock>>> {
    let lock = FileRefreshLock::try_acquire(home, auth_json)?;
    Ok(lock.map(|lock| Box::new(lock) as Box<dyn RefreshLock>))
}

pub(super) fn version_of(bytes: &[u8]) -> Version {
    Version::named(&Fingerprint::of(bytes).to_string())
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::InvalidInput => "move it away",
        io::ErrorKind::PermissionDenied => "make it readable for this user",
        _ => "check CODEX_HOME and the file system",
    };
    Error::new(
        ErrorKind::StoreUnavailable,
        format!("cannot read {}: {error}; {advice}", path.display()),
    )
}

/// What failed while writing in the store's folder, as an error that says what to do.
pub(super) fn unwritable(what: &str, path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{
        InvalidInput, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let (kind, advice) = match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => {
            (ErrorKind::StoreReadOnly, "make the file and its folder writable for this user")
        }
        StorageFull | QuotaExceeded => (ErrorKind::StoreUnavailable, "free some space"),
        InvalidInput => (ErrorKind::StoreUnavailable, "move it away"),
        _ => (ErrorKind::StoreUnavailable, "check CODEX_HOME and the file system"),
    };
    Error::new(kind, format!("cannot {what} {}: {error}; {advice}", path.display()))
}

#[cfg(unix)]
fn file_id(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn file_id(_file: &std::fs::Metadata) -> u64 {
    0
}
