//! Gets notifications from the operating system when a file in a folder changes.

use std::fs::Metadata;
use std::path::PathBuf;
use std::sync::Arc;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::background::Signal;
use crate::storage::Stamp;

/// The watched folders, if the operating system can watch them.
#[derive(Debug, Default)]
pub(super) struct FolderWatch {
    folders: Vec<Folder>,
    watcher: Option<RecommendedWatcher>,
}

/// A folder, and its identity: another one may replace it at its path.
#[derive(Debug, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    identity: Stamp,
}

impl FolderWatch {
    /// Watches the folders at `paths` that exist, and wakes `signal` at each change in one of them.
    /// Returns whether these are other folders than before.
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

/// Returns whether `event` may be a change. An access is none: otherwise each read by this crate
/// would lead to the next one. An error may hide a change.
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
    fn a_read_wakes_no_task() {
        let event = |kind| Ok(Event::new(kind));
        for access in [AccessKind::Read, AccessKind::Open(AccessMode::Any)] {
            assert!(!may_be_change(&event(EventKind::Access(access))), "{access:?}");
        }
        assert!(may_be_change(&event(EventKind::Modify(ModifyKind::Any))));
        assert!(may_be_change(&Err(notify::Error::generic("overflow"))));
    }
}
