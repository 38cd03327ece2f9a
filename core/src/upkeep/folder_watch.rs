//! Being told by the system that something changes in a folder.

use std::fs::Metadata;
use std::path::PathBuf;
use std::sync::Arc;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::background::Signal;
use crate::storage::Stamp;

/// The folders that are watched, if the system can do so.
#[derive(Debug, Default)]
pub(super) struct FolderWatch {
    folders: Vec<Folder>,
    watcher: Option<RecommendedWatcher>,
}

/// A folder, and which one: another may take its place.
#[derive(Debug, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    identity: Stamp,
}

impl FolderWatch {
    /// Wakes `signal` from now on whenever something changes in one of the folders at `paths` that
    /// are there; whether these are others than before.
    pub(super) fn renew(&mut self, paths: Vec<PathBuf>, signal: &Arc<Signal>) -> bool {
        let found: Vec<_> = paths.into_iter().filter_map(Folder::at).collect();
        if found == self.folders {
            return false;
        }
        self.watcher = watch(&found, signal)
            .inspect_err(|error| tracing::debug!(%error, "the store is polled, not watched"))
            .ok();
        self.folders = found;
        true
    }
}

impl Folder {
    fn at(path: PathBuf) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        let identity = Stamp::of((metadata.created().ok(), folder_id(&metadata)));
        Some(Self { path, identity })
    }
}

fn watch(folders: &[Folder], signal: &Arc<Signal>) -> notify::Result<RecommendedWatcher> {
    let signal = Arc::clone(signal);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if may_be_change(&event) {
            signal.wake();
        }
    })?;
    for folder in folders {
        watcher.watch(&folder.path, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// A reader, as we are, changes nothing: to read again for that would never end. An error may
/// hide a change.
fn may_be_change(event: &notify::Result<Event>) -> bool {
    !event.as_ref().is_ok_and(|event| event.kind.is_access())
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

#[cfg(test)]
mod tests {
    use notify::EventKind;
    use notify::event::{AccessKind, AccessMode, ModifyKind};

    use super::*;

    #[test]
    fn who_only_reads_wakes_nobody() {
        let event = |kind| Ok(Event::new(kind));
        for access in [AccessKind::Read, AccessKind::Open(AccessMode::Any)] {
            assert!(!may_be_change(&event(EventKind::Access(access))), "{access:?}");
        }
        assert!(may_be_change(&event(EventKind::Modify(ModifyKind::Any))));
        assert!(may_be_change(&Err(notify::Error::generic("overflow"))));
    }
}
