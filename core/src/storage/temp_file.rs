//! Temp files that take the place of others by a rename: private from the first byte, and known by
//! their names where a program died before it was done.

use std::ffi::OsStr;
use std::fs::{DirEntry, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::{busy_file, ownership, plain_file};

const PREFIX: &str = ".codex-auth-sdk-";
const SUFFIX: &str = ".tmp";

/// Letters and digits between the two.
const RANDOM: usize = 6;

/// A new file in `folder`, of mode 0600. One that is there, or a link, is never opened.
pub(super) fn create(folder: &Path) -> io::Result<NamedTempFile> {
    create_by_chance(folder, RANDOM)
}

fn create_by_chance(folder: &Path, random: usize) -> io::Result<NamedTempFile> {
    private(Builder::new().prefix(PREFIX).suffix(SUFFIX).rand_bytes(random), folder)
}

/// A new file in `folder` as `builder` has it, of mode 0600. Windows is not told that it is a
/// temporary one: it stays under another name.
pub(crate) fn private(builder: &Builder<'_, '_>, folder: &Path) -> io::Result<NamedTempFile> {
    let file = builder.make_in(folder, |path| plain_file::create(path, &mut OpenOptions::new()))?;
    ownership::set_mode(file.as_file(), 0o600);
    Ok(file)
}

/// Puts `temp` in the place of what is at `path`, if there is something.
pub(super) fn put(temp: &mut NamedTempFile, path: &Path) -> io::Result<()> {
    // Unlike `persist`, this replaces on Windows what other programs have open, if they share it.
    busy_file::wait_to_replace(|| std::fs::rename(temp.path(), path))?;
    // Its name is gone, so there is nothing left to clean up.
    temp.disable_cleanup(true);
    Ok(())
}

/// Returns whether a temp file of this crate may have this name.
pub(crate) fn is_name(name: &OsStr) -> bool {
    let name = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    name.is_some_and(|random| {
        random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Returns the paths of all temp files in `folder`.
pub(super) fn all(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_one = |entry: &DirEntry| {
        entry.file_type().is_ok_and(|kind| kind.is_file()) && is_name(&entry.file_name())
    };
    entries.filter(is_one).map(|entry| entry.path())
}

/// Removes all temp files in `folder`. Only for a holder of the refresh lock and the commit locks:
/// no other living program has one then that it cannot do without.
pub(crate) fn remove_all(folder: &Path) {
    for path in all(folder) {
        // One that cannot be removed does no harm.
        std::fs::remove_file(path).unwrap_or_default();
    }
}

/// Makes a rename in `folder` durable, as far as that can be had: the folder may be unreadable, or
/// on a file system that syncs no folders. A second try, since one failure may be a passing one.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    let sync = || match std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), PermissionDenied | InvalidInput | Unsupported) => {
            Ok(())
        }
        synced => synced,
    };
    sync().or_else(|_| sync())
}

#[cfg(not(unix))]
pub(super) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_temp_file_is_never_one_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = folder.path().join(format!("{PREFIX}{SUFFIX}"));
        let plants: [fn(&Path); 3] = [
            |name| std::fs::write(name, "planted").expect("written"),
            |name| symlink("precious", name).expect("linked"),
            |name| symlink("not there", name).expect("linked"),
        ];
        std::fs::write(folder.path().join("precious"), "precious").expect("written");
        for plant in plants {
            plant(&name);
            // Without chance the one name that there is.
            let error = create_by_chance(folder.path(), 0).expect_err("taken");
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert!(!folder.path().join("not there").exists());
            std::fs::remove_file(&name).expect("still there");
        }
        let precious = std::fs::read_to_string(folder.path().join("precious"));
        assert_eq!(precious.expect("there"), "precious");
        let made = create(folder.path()).expect("a file");
        assert!(made.path().file_name().is_some_and(is_name), "{made:?}");
    }
}
