//! The encrypted file on its file system: it is read, replaced and synced here, and no call is
//! waited for without end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::Result;
use crate::storage::content::{self, version_at, version_of};
use crate::storage::file_calls::Kept;
use crate::storage::file_error::{unreadable, unwritable};
use crate::storage::home::{CommitLocks, Home};
use crate::storage::replacement::{self, Replacement};
use crate::storage::target::Target;
use crate::storage::{Swap, Version, ownership};

/// The file `secrets/codex_auth.age` of a home. Clones are one file.
#[derive(Debug, Clone)]
pub(super) struct AgeFile {
    home: Home,
    path: Arc<Path>,
}

/// What a file held when it was read, and as which version.
pub(super) type Sighting = (Version, Zeroizing<Vec<u8>>);

/// A temp file with the new content, and the place where it goes.
#[derive(Debug)]
pub(super) struct Filled {
    target: Target,
    bytes: Vec<u8>,
    temp: Replacement,
}

impl AgeFile {
    pub(super) fn of(home: Home) -> Self {
        let path = home.path().join("secrets").join("codex_auth.age").into();
        Self { home, path }
    }

    pub(super) const fn home(&self) -> &Home {
        &self.home
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Returns the outcome of `call` on the file.
    async fn make<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let file = self.clone();
        self.home.calls().make(move || call(&file)).await
    }

    /// Reads the file, if there is one.
    pub(super) async fn read(&self) -> Result<Option<Sighting>> {
        self.make(Self::read_now).await
    }

    /// Reads the file on the caller's thread, if there is one.
    pub(super) fn read_now(&self) -> Result<Option<Sighting>> {
        let bytes = content::read(&self.path)?;
        match &bytes {
            Some(_) => self.home.note_presence(),
            None => self.home.check()?,
        }
        Ok(bytes.map(|bytes| (version_of(&bytes), bytes)))
    }

    /// Returns the version of what the file holds, whole or not.
    pub(super) async fn version(&self) -> Result<Version> {
        self.make(|file| version_at(&file.path)).await
    }

    /// Makes the home if there is none: the keyring's items are named after where it is.
    pub(super) async fn make_home(&self) -> Result<()> {
        self.make(|file| file.home.create()).await
    }

    /// Returns where a write goes, and makes the folder if there is none.
    pub(super) async fn target(&self) -> Result<Target> {
        self.make(Self::target_now).await
    }

    fn target_now(&self) -> Result<Target> {
        self.home.create()?;
        let folder = self.folder();
        ownership::make_folder(folder).map_err(|error| unwritable("make", folder, &error))?;
        Target::resolve(&self.path)
    }

    /// Proves that `size` bytes can be put at `target`, under the commit `locks`, and returns the
    /// temp file for them.
    pub(super) async fn prove(
        &self,
        target: Target,
        locks: CommitLocks,
        size: usize,
    ) -> Result<Replacement> {
        self.make(move |file| file.home.prove(&target, locks, size)).await
    }

    /// Writes `bytes` to a temp file: the `prepared` one, if it is still of use.
    pub(super) async fn fill(
        &self,
        bytes: Vec<u8>,
        prepared: Option<Replacement>,
    ) -> Result<Kept<Filled>> {
        let filled = self.make(move |file| {
            let target = file.target_now()?;
            let temp = Replacement::filled(&target, &bytes, prepared)?;
            Ok(Filled { target, bytes, temp })
        });
        Ok(self.home.calls().keep(filled.await?))
    }

    /// Puts the temp file in the place of the file, if that still has version `base`. The caller
    /// holds the commit locks.
    pub(super) async fn put(&self, filled: Kept<Filled>, base: Version) -> Result<Swap> {
        let put = self.make(move |_| {
            let Filled { target, bytes, temp } = filled.take();
            temp.put(&target, &bytes, |path| Ok(version_at(path)? == base))
        });
        put.await
    }

    /// Makes the last write durable. Returns whether it is.
    pub(super) async fn sync(&self) -> bool {
        let synced = self.make(|file| {
            Ok(!file.folder().exists() || replacement::sync(&Target::resolve(&file.path)?))
        });
        synced.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a login is stored, and may not outlast a power cut");
            false
        })
    }

    /// Returns a file in the folder that only the passphrase opens: this one, or another one of the
    /// Codex CLI.
    pub(super) async fn find_closed(&self) -> Result<Option<PathBuf>> {
        self.make(|file| find_closed(file.folder())).await
    }
}

fn find_closed(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let mut paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.find(|path| path.extension() == Some("age".as_ref())))
}
