//! The lock on `auth.json` itself. Each save puts another file in its place, so the lock follows: from
//! the file that was replaced to the one that took its place.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::error::Result;
use crate::storage::file_error::unwritable;
use crate::storage::lock_file::LockFile;

/// How often the lock is tried for again that a save has overtaken.
const MOST_TRIES: usize = 3;

/// The lock, once it was taken.
#[derive(Debug, Default)]
pub(super) struct RecordLock(ArcSwapOption<LockFile>);

impl RecordLock {
    /// Locks the file that is at `path` now, if that is not the one that is locked already; whether
    /// no other program has it. Where there is no file there is nothing to lock.
    pub(super) fn follow(&self, path: &Path) -> Result<bool> {
        self.try_follow(path).map_err(|error| unwritable("lock", path, &error))
    }

    fn try_follow(&self, path: &Path) -> io::Result<bool> {
        if let Some(held) = self.0.load_full()
            && held.path() == path
            && held.is_current()?
        {
            return Ok(true);
        }
        for _ in 0..MOST_TRIES {
            match LockFile::try_acquire_existing(path) {
                Ok(None) => {}
                Ok(Some(lock)) => {
                    self.0.store(Some(Arc::new(lock)));
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.0.store(None);
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}
