//! Open files that a forked child must close: a lock on a file lasts until all processes that have
//! inherited it have closed it.

use std::fs::{File, Metadata};
use std::io;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use super::id::ProcessId;

/// The open files of this process. In a forked child they include the inherited ones.
static OPEN: ArcSwapOption<Vec<Weak<Slot>>> = ArcSwapOption::const_empty();

/// An open file that only the process that opened it uses. Dropping it closes the file.
#[derive(Debug)]
pub(crate) struct OwnFile(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    process: ProcessId,
    id: Option<FileId>,
    /// None once a forked child has closed it.
    file: ArcSwapOption<File>,
}

/// Device and inode: which file it is, under whatever path.
type FileId = (u64, u64);

impl OwnFile {
    /// Makes `file` belong to this process.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let id = file_id(&file.metadata()?);
        let process = ProcessId::current();
        let slot = Arc::new(Slot { process, id, file: ArcSwapOption::from_pointee(file) });
        register(&slot);
        Ok(Self(slot))
    }

    /// Returns the file; none in a forked child.
    pub(crate) fn get(&self) -> Option<Arc<File>> {
        self.0.file.load_full().filter(|_| self.0.process.is_current())
    }

    /// Returns whether `found`, the metadata of a file at a path, is that of this file.
    pub(crate) fn is(&self, found: &Metadata) -> bool {
        file_id(found) == self.0.id
    }
}

/// Closes the files that a forked child has inherited. In another process it does nothing.
pub(super) fn close_inherited() {
    for slot in open().iter().filter_map(Weak::upgrade) {
        if slot.process.is_current() {
            continue;
        }
        // A fork copies the descriptors before the memory. If a file was opened in between, the
        // child has the number of its descriptor but not the file, and the number may be that of
        // another file.
        let file = slot.file.swap(None);
        let is_there =
            |file: &Arc<File>| file.metadata().is_ok_and(|found| file_id(&found) == slot.id);
        if let Some(file) = file.filter(|file| !is_there(file)) {
            std::mem::forget(file);
        }
    }
}

fn open() -> Arc<Vec<Weak<Slot>>> {
    OPEN.load_full().unwrap_or_default()
}

fn register(slot: &Arc<Slot>) {
    OPEN.rcu(|open| {
        let alive = open.iter().flat_map(|open| open.iter());
        let alive = alive.filter(|other| other.strong_count() > 0).cloned();
        Some(Arc::new(alive.chain([Arc::downgrade(slot)]).collect::<Vec<_>>()))
    });
}

/// Which file `file` tells of; none where the system does not say.
#[cfg(unix)]
pub(crate) fn file_id(file: &Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    Some((file.dev(), file.ino()))
}

#[cfg(not(unix))]
pub(crate) fn file_id(_file: &Metadata) -> Option<FileId> {
    // A locked file cannot be replaced here, and there is no fork.
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_closes_what_it_inherited_and_keeps_what_it_opened() {
        let (ours, theirs) = (tempfile::tempfile(), tempfile::tempfile());
        let own = OwnFile::new(ours.expect("a file")).expect("opened");
        let inherited = Arc::new(Slot {
            process: ProcessId::other(),
            id: None,
            file: ArcSwapOption::from_pointee(theirs.expect("a file")),
        });
        register(&inherited);
        let inherited = OwnFile(inherited);
        assert!(inherited.get().is_none(), "it is the parent's");
        close_inherited();
        assert!(inherited.0.file.load().is_none() && own.get().is_some());
    }
}
