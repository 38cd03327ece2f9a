//! Exclusive locks on files that are never deleted (`flock` on Unix): they die with their holder,
//! and other programs that use `flock` see them.
//!
//! A lock belongs to an open file, which a forked child shares: so we unlock explicitly rather than
//! by closing, a child never unlocks its parent's lock, and closes its own copy of it.
//!
//! Each program that can open the file can hold the lock for as long as it likes, so the file is
//! open to its owner, and to a group that shares the login, alone. On Windows no program can move
//! or remove it while one has it open: another one would lock what takes its place.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::process::{self, OwnFile};
use crate::storage::busy_file;
use crate::storage::ownership::{self, Sharing};
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
    /// Locks `path` if no other holder has it; creates the file, for its owner and the group of
    /// `sharing`, if it is not there. One that is there is closed to all others.
    pub(crate) fn try_acquire(
        path: &Path,
        sharing: Sharing,
        links: Links,
    ) -> io::Result<Option<Self>> {
        Self::try_lock(path, || open(path, sharing, links))
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
            let file = match open() {
                // A program that opens a lock file for itself alone has locked it, too.
                Err(error) if busy_file::is_held(&error) => return Ok(None),
                file => file?,
            };
            let Some(lock) = Self::lock(path, file)? else { return Ok(None) };
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
fn open(path: &Path, sharing: Sharing, links: Links) -> io::Result<File> {
    for _ in 0..MOST_OPENINGS {
        match open_existing(path, links) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(file) => {
                // Best effort: the lock works either way.
                ownership::narrow(&file, path, sharing).unwrap_or_default();
                return Ok(file);
            }
            refused => return refused,
        }
        match create(path, sharing) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            answer => return answer,
        }
    }
    // There, and not there: it leads to a file that does not exist.
    Err(plain_file::is_link())
}

/// Opens it for writing, or for reading where that is all we may: `flock` needs no more.
fn open_existing(path: &Path, links: Links) -> io::Result<File> {
    let file = plain_file::open(path, unmovable().read(true).write(true), links);
    match file.as_ref().map_err(io::Error::kind) {
        Err(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            plain_file::open(path, unmovable().read(true), links)
        }
        _ => file,
    }
}

/// Creates what is not there, and opens it to the group of `sharing` once it is that group's.
fn create(path: &Path, sharing: Sharing) -> io::Result<File> {
    let file = plain_file::create(path, &mut unmovable())?;
    ownership::set_mode(&file, 0o600);
    if let Some(folder) = path.parent() {
        // Best effort: the lock works for this process either way.
        ownership::copy(&file, &folder.metadata()?).unwrap_or_default();
    }
    ownership::share_lock(&file, path, sharing).unwrap_or_default();
    Ok(file)
}

/// What a lock file is opened with: while it is open, it stays where it is. Unix cannot have that,
/// and looks again (`is_current`).
#[cfg(windows)]
fn unmovable() -> OpenOptions {
    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_WRITE: u32 = 2;
    let mut options = OpenOptions::new();
    let sharing = FILE_SHARE_READ | FILE_SHARE_WRITE;
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, sharing);
    options
}

#[cfg(not(windows))]
fn unmovable() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::cell::Cell;

    use super::*;

    fn acquire(path: &Path) -> Option<LockFile> {
        LockFile::try_acquire(path, Sharing::default(), Links::Refused).expect("a lock")
    }

    #[test]
    fn excludes_others_until_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        let held = acquire(&path).expect("free");
        assert!(acquire(&path).is_none());
        assert!(held.is_current().expect("no error"));
        drop(held);
        assert!(acquire(&path).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn the_lock_of_a_file_that_was_removed_is_not_the_current_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        let held = acquire(&path).expect("free");
        std::fs::remove_file(&path).expect("removed");
        assert!(!held.is_current().expect("no error"));
        assert!(acquire(&path).is_some());
    }

    #[cfg(windows)]
    #[test]
    fn g1_a_lock_file_that_is_open_cannot_be_moved_away_and_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("a.lock"), folder.path().join("moved"));
        for _ in ["created", "opened"] {
            let held = acquire(&path).expect("free");
            let refused = std::fs::rename(&path, &moved).and(std::fs::remove_file(&path));
            assert!(refused.is_err() && path.exists(), "it is open");
            assert!(acquire(&path).is_none());
            drop(held);
        }
    }

    #[cfg(windows)]
    #[test]
    fn g8_a_lock_file_that_another_program_has_for_itself_is_a_lock_that_is_held() {
        use std::os::windows::fs::OpenOptionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        drop(acquire(&path).expect("free"));
        let alone = OpenOptions::new().read(true).share_mode(0).open(&path).expect("opened");
        assert!(acquire(&path).is_none(), "and no error");
        drop(alone);
        assert!(acquire(&path).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_child_that_is_forked_in_the_middle_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        let (has_forked, inherited) = (Cell::new(false), Cell::new(None));
        let open_and_fork = || {
            let file = open(&path, Sharing::default(), Links::Refused)?;
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
    mod unix {
        use std::fs::{File, Permissions};
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
        use std::os::unix::process::CommandExt;

        use tempfile::TempDir;

        use super::*;
        use crate::child;

        /// A group that no other test is in.
        const GROUP: u32 = 54321;

        struct Place(TempDir);

        impl Place {
            fn new() -> Self {
                Self(tempfile::tempdir().expect("a folder"))
            }

            fn at(&self, name: &str) -> PathBuf {
                self.0.path().join(name)
            }

            fn make(&self, name: &str, mode: u32) -> File {
                let file = File::create(self.at(name)).expect("created");
                file.set_permissions(Permissions::from_mode(mode)).expect("set");
                file
            }

            /// The sharing of a record with `mode`.
            fn sharing(&self, mode: u32) -> Sharing {
                let record = self.make("auth.json", mode).metadata().expect("there");
                Sharing::of(&self.at("auth.json"), Some(&record))
            }

            fn lock(&self, name: &str, sharing: Sharing) {
                let lock = LockFile::try_acquire(&self.at(name), sharing, Links::Followed);
                drop(lock.expect("a lock").expect("free"));
            }

            fn mode(&self, name: &str) -> u32 {
                self.at(name).metadata().expect("there").mode() & 0o777
            }
        }

        #[test]
        fn g8_a_new_lock_file_is_open_to_the_group_that_may_open_the_record_alone() {
            let place = Place::new();
            for (record, expected) in
                [(0o600, 0o600), (0o640, 0o640), (0o660, 0o660), (0o666, 0o660), (0o604, 0o600)]
            {
                let name = format!("{record:o}");
                place.lock(&name, place.sharing(record));
                assert_eq!(place.mode(&name), expected, "{record:o}");
            }
            place.lock("first", Sharing::default());
            assert_eq!(place.mode("first"), 0o600, "where there is no record yet");
        }

        #[test]
        fn g8_a_lock_file_that_is_there_is_closed_to_strangers() {
            let place = Place::new();
            let (closed, shared) = (place.sharing(0o600), place.sharing(0o660));
            let unknown = Sharing::default();
            for (sharing, expected) in [(closed, 0o600), (shared, 0o660), (unknown, 0o660)] {
                place.make("wide", 0o666);
                place.lock("wide", sharing);
                assert_eq!(place.mode("wide"), expected, "{sharing:?}");
            }
            place.make("strict", 0o400);
            place.lock("strict", shared);
            assert_eq!(place.mode("strict"), 0o400);
            // What a link leads to may be anything.
            place.make("page", 0o644);
            symlink(place.at("page"), place.at("link")).expect("linked");
            place.lock("link", closed);
            std::fs::hard_link(place.at("page"), place.at("hard")).expect("linked");
            place.lock("hard", closed);
            assert_eq!(place.mode("page"), 0o644);
            place.make("theirs", 0o644);
            if chown(place.at("theirs"), Some(65534), None).is_ok() {
                place.lock("theirs", closed);
                assert_eq!(place.mode("theirs"), 0o644, "another owner's");
            }
        }

        #[test]
        fn g8_a_lock_file_is_private_from_the_first_whatever_the_umask_is() {
            const TEST: &str = "storage::lock_file::tests::unix::\
                g8_a_lock_file_is_private_from_the_first_whatever_the_umask_is";
            if let Some(umask) = child::role() {
                let place = Place::new();
                child::set_umask(&umask);
                let made =
                    plain_file::create(&place.at("lock"), &mut unmovable()).expect("created");
                assert_eq!(made.metadata().expect("there").mode() & 0o177, 0, "from the first");
                place.lock("own", Sharing::default());
                assert_eq!(place.mode("own"), 0o600);
                place.lock("shared", place.sharing(0o660));
                assert_eq!(place.mode("shared"), 0o660);
                return;
            }
            for umask in ["0", "777"] {
                let output = child::play(&mut child::playing(TEST, umask));
                assert!(output.status.success(), "{umask}: {output:?}");
            }
        }

        #[test]
        fn g8_all_members_of_a_group_that_shares_a_home_take_the_lock_and_strangers_do_not() {
            const TEST: &str = "storage::lock_file::tests::unix::\
                g8_all_members_of_a_group_that_shares_a_home_take_the_lock_and_strangers_do_not";
            if let Some(folder) = child::role() {
                let folder = Path::new(&folder);
                let record = folder.join("auth.json");
                let found = record.metadata().expect("there");
                let (path, sharing) = (folder.join("lock"), Sharing::of(&record, Some(&found)));
                let lock = LockFile::try_acquire(&path, sharing, Links::Refused);
                lock.expect("it may be opened").expect("free");
                return;
            }
            let place = Place::new();
            let record = place.make("auth.json", 0o660);
            let folder = std::fs::set_permissions(place.0.path(), Permissions::from_mode(0o775));
            folder.expect("set");
            let given = chown(place.0.path(), None, Some(GROUP));
            if given.and_then(|()| std::os::unix::fs::fchown(&record, None, Some(GROUP))).is_err() {
                return child::skip("another user");
            }
            let role = place.0.path().to_str().expect("a text");
            for (user, group, is_member) in
                [(5001, GROUP, true), (5002, GROUP, true), (5003, 5003, false)]
            {
                let output = child::play(child::playing(TEST, role).uid(user).gid(group));
                assert_eq!(output.status.success(), is_member, "{user}: {output:?}");
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(said.contains("PermissionDenied"), !is_member, "{said}");
            }
            assert_eq!(place.mode("lock"), 0o660);
        }
    }
}
