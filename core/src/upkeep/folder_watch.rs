//! The folders of a store that one task watches.

use std::fs::Metadata;
use std::path::PathBuf;
use std::sync::Arc;

use super::notifications;
use crate::background::Signal;
use crate::storage::Stamp;

/// The folders whose changes wake a task, until this is dropped.
#[derive(Debug)]
pub(super) struct FolderWatch {
    folders: Vec<Folder>,
    signal: Arc<Signal>,
}

/// A folder as it was named, and which one that is: another one may take its place at any time.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    real_path: PathBuf,
    identity: Stamp,
}

impl FolderWatch {
    /// Watches no folder yet. A change in a folder wakes `signal`.
    pub(super) fn new(signal: &Arc<Signal>) -> Self {
        Self { folders: Vec::new(), signal: Arc::clone(signal) }
    }

    /// Watches the folders at `paths` that exist, and no others any more. Returns whether one of
    /// them was not watched before, so that its changes up to now are not known.
    pub(super) fn renew(&mut self, paths: Vec<PathBuf>) -> bool {
        let found = paths.into_iter().filter_map(|path| self.look_at(path)).collect();
        let before = std::mem::replace(&mut self.folders, found);
        for folder in before.iter().filter(|folder| !self.is_at(&folder.real_path)) {
            notifications::leave(&folder.real_path, &self.signal);
        }
        let mut is_new = false;
        for folder in &self.folders {
            is_new |= notifications::join(&folder.real_path, folder.identity, &self.signal);
        }
        is_new
    }

    fn is_at(&self, real_path: &PathBuf) -> bool {
        self.folders.iter().any(|folder| folder.real_path == *real_path)
    }

    /// Finds out which folder is at `path`, if there is one.
    fn look_at(&self, path: PathBuf) -> Option<Folder> {
        let metadata = path.metadata().ok()?;
        let identity = Stamp::of((metadata.created().ok(), folder_id(&metadata)));
        let known = self.folders.iter().find(|known| known.path == path);
        let real_path = match known.filter(|known| known.identity == identity) {
            Some(known) => known.real_path.clone(),
            None => path.canonicalize().ok()?,
        };
        Some(Folder { path, real_path, identity })
    }
}

impl Drop for FolderWatch {
    fn drop(&mut self) {
        self.renew(Vec::new());
    }
}

#[cfg(unix)]
fn folder_id(folder: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((folder.dev(), folder.ino()))
}

#[cfg(not(unix))]
fn folder_id(_folder: &Metadata) -> Option<(u64, u64)> {
    None
}
