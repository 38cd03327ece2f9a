//! Exclusive locks on files that are never deleted (`flock` on Unix): they die with their holder,
//! and other programs that use `flock` see them.
//!
//! A lock belongs to an open file, which a forked child shares: so we unlock explicitly rather than
//! by closing, a child never unlocks its parent's lock, and closes its own copy of it.
//!
//! Each program that can open the file can hold the lock for as long as it likes, so the file is its
//! owner's alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::process::{self, OwnFile};
use crate::storage::ownership;
use crate::storage::plain_file::{self, Links};

/// How often an opening is repeated: another process has created the file meanwhile, or this one
/// has forked.
const MOST_OPENINGS: usize = 3;

/// A held lock. Dropping it unlocks.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    file: OwnFile,
}

impl LockFile {
    /// Locks `path` if no other holder has it; creates the file, for its owner only, if it is not
    /// there. One that is there keeps no permission beyond those of `widest`.
    pub(crate) fn try_acquire(path: &Path, widest: u32, links: Links) -> io::Result<Option<Self>> {
        Self::try_lock(path, || open(path, widest, links))
    }

    /// Locks the file at `path`, which is not created, if no other holder has. It is opened for
    /// reading only: a program that watches it would take the end of a writing for a change.
    pub(crate) fn try_acquire_existing(path: &Path) -> io::Result<Option<Self>> {
        let open = || plain_file::open(path, OpenOptions::new().read(true), Links::Followed);
        Self::try_lock(path, open)
    }

    fn try_lock(path: &Path, open: impl Fn() -> io::Result<File>) -> io::Result<Option<Self>> {
        for _ in 0..MOST_OPENINGS {
            let forks = process::forks();
            let Some(lock) = Self::lock(path, open()?)? else { return Ok(None) };
            if process::forks() == forks {
                // Another program may have replaced the file between the opening and the locking.
                return Ok(lock.is_current()?.then_some(lock));
            }
            // A child that was forked meanwhile may have the file without knowing of it, and would
            // keep the lock after this process. Dropping unlocks it for both.
        }
        Ok(None)
    }

    fn lock(path: &Path, file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // By a signal to the program, on a network file system: try again.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {
                return Ok(None);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Some(Self { path: path.to_owned(), file: OwnFile::new(file)? }))
    }

    /// Whether the path still leads to the file that is locked.
    pub(crate) fn is_current(&self) -> io::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(found) => Ok(self.is_own() && self.file.is(&found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether this process holds it: a forked child inherits it, and does not.
    pub(crate) fn is_own(&self) -> bool {
        self.file.get().is_some()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.get() {
            // An error leaves the unlocking to the close that follows.
            file.unlock().unwrap_or_default();
        }
    }
}

/// Opens a lock file, which is created if it is not there.
fn open(path: &Path, widest: u32, links: Links) -> io::Result<File> {
    for _ in 0..MOST_OPENINGS {
        match open_existing(path, links) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(file) => {
                // Best effort: the lock works either way.
                ownership::narrow(&file, path, widest).unwrap_or_default();
                return Ok(file);
            }
            refused => return refused,
        }
        match create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            answer => return answer,
        }
    }
    // There, and not there: it leads to a file that does not exist.
    Err(plain_file::is_link())
}

/// Opens it for writing, or for reading where that is all we may: `flock` needs no more.
fn open_existing(path: &Path, links: Links) -> io::Result<File> {
    let file = plain_file::open(path, OpenOptions::new().read(true).write(true), links);
    match file.as_ref().map_err(io::Error::kind) {
        Err(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            plain_file::open(path, OpenOptions::new().read(true), links)
        }
        _ => file,
    }
}

/// Creates what is not there. A link that leads nowhere is there: where it leads, no file is made
/// and given away.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    if let Some(folder) = path.parent() {
        // Best effort: the lock works for this process either way.
        ownership::copy(&file, &folder.metadata()?).unwrap_or_default();
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn acquire(path: &Path) -> Option<LockFile> {
        LockFile::try_acquire(path, 0o700, Links::Refused).expect("a lock")
    }

    #[test]
    fn excludes_others_until_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        let held = acquire(&path).expect("free");
        assert!(acquire(&path).is_none());
        assert!(held.is_current().expect("no error"));
        std::fs::remove_file(&path).expect("removed");
        assert!(!held.is_current().expect("no error"));
        drop(held);
        assert!(acquire(&path).is_some());
    }

    #[test]
    fn a_child_that_is_forked_in_the_middle_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        let (has_forked, inherited) = (Cell::new(false), Cell::new(None));
        let open_and_fork = || {
            let file = open(&path, 0o700, Links::Refused)?;
            if !has_forked.replace(true) {
                process::before_fork();
                inherited.set(Some(file.try_clone()?));
                process::after_fork_in_parent();
            }
            Ok(file)
        };
        let held = LockFile::try_lock(&path, open_and_fork).expect("no error").expect("free");
        // A lock of the file that the child has would end with this.
        inherited.take().expect("forked").unlock().expect("unlocked");
        assert!(acquire(&path).is_none(), "it is held by a file that no child has");
        drop(held);
    }

    #[cfg(unix)]
    #[test]
    fn g8_a_lock_file_is_its_owners_alone_from_the_first_and_again() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let mode = |name: &str| at(name).metadata().expect("there").mode() & 0o777;
        let make = |name: &str, mode| {
            std::fs::write(at(name), "").expect("written");
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).expect("set");
        };
        let lock = |name: &str, widest| {
            LockFile::try_acquire(&at(name), widest, Links::Followed)
                .expect("a lock")
                .expect("free")
        };
        drop(lock("new", 0o770));
        assert_eq!(mode("new"), 0o600);
        for (widest, expected) in [(0o700, 0o600), (0o770, 0o660)] {
            make("wide", 0o666);
            drop(lock("wide", widest));
            assert_eq!(mode("wide"), expected, "{widest:o}");
        }
        make("strict", 0o400);
        drop(lock("strict", 0o770));
        assert_eq!(mode("strict"), 0o400);
        // What a link leads to may be anything.
        make("page", 0o644);
        symlink(at("page"), at("link")).expect("linked");
        drop(lock("link", 0o700));
        std::fs::hard_link(at("page"), at("hard")).expect("linked");
        drop(lock("hard", 0o700));
        assert_eq!(mode("page"), 0o644);
        make("theirs", 0o644);
        if chown(at("theirs"), Some(65534), None).is_ok() {
            drop(lock("theirs", 0o700));
            assert_eq!(mode("theirs"), 0o644, "another owner's");
        }
    }
}
