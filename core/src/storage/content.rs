//! What a file of a login holds, and as which version.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::file_error::unreadable;
use super::plain_file::{self, Links};
use super::target::Target;
use super::{Stamp, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::process::file_id;
use crate::secret::Fingerprint;

/// How long a half-written file is read again before it counts as corrupt.
pub(super) const TORN_FOR: Duration = Duration::from_secs(1);

/// A login is a few kilobytes; nothing near this is one.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The content of the file at `path`, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let error = match plain_file::read(path, LARGEST, Links::Followed) {
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

/// Returns the content of a file that a program of this crate has left at `path`, unless another
/// user may have put something else there.
pub(super) fn read_own(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    plain_file::read(path, LARGEST, Links::Refused).ok()
}

/// The version that a file which holds `bytes` has.
pub(super) fn version_of(bytes: &[u8]) -> Version {
    Version::named(&Fingerprint::of(bytes).to_string())
}

/// The version of what the file at `path` holds, whole or not.
pub(super) fn version_at(path: &Path) -> Result<Version> {
    Ok(read(path)?.map_or(Version::absent(), |bytes| version_of(&bytes)))
}

/// A mark of the file at `path` that differs after most changes.
pub(super) fn stamp_of(path: &Path) -> Stamp {
    let state = std::fs::metadata(path).ok();
    Stamp::of(state.map(|file| (file.modified().ok(), file.len(), file_id(&file))))
}

/// The folder of `path`, and that of the file which it really is.
pub(super) fn folders_of(path: &Path) -> Vec<PathBuf> {
    let target = Target::resolve(path).ok().map(|target| target.folder);
    let mut folders: Vec<_> = path.parent().map(Path::to_owned).into_iter().chain(target).collect();
    folders.dedup();
    folders
}
