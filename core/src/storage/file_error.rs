//! Errors about a file, each with its path and what to do.

use std::io;
use std::path::Path;

use super::busy_file;
use crate::error::{Error, ErrorKind};

/// The reason of an error about a file that another program holds open and does not share.
const HELD_OPEN: &str = "held_open";

/// What to do about it.
const RETRY: &str = "close the program that has it open, or try again";

/// Why the file at `path` could not be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::InvalidInput => "move it away",
        io::ErrorKind::PermissionDenied => "make it readable for this user",
        _ if busy_file::is_held(error) => RETRY,
        _ => "check CODEX_HOME and the file system",
    };
    let message = format!("cannot read {}: {error}; {advice}", path.display());
    with_reason(Error::new(ErrorKind::StoreUnavailable, message), error)
}

/// Why a change could not be made: `what` was to be done to `path`.
pub(super) fn unwritable(what: &str, path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{
        InvalidInput, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let (kind, advice) = match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => {
            (ErrorKind::StoreReadOnly, "make the file and its folder writable for this user")
        }
        StorageFull | QuotaExceeded => (ErrorKind::StoreUnavailable, "free some space"),
        InvalidInput => (ErrorKind::StoreUnavailable, "move it away"),
        _ if busy_file::is_held(error) => (ErrorKind::StoreUnavailable, RETRY),
        _ => (ErrorKind::StoreUnavailable, "check CODEX_HOME and the file system"),
    };
    let message = format!("cannot {what} {}: {error}; {advice}", path.display());
    with_reason(Error::new(kind, message), error)
}

fn with_reason(told: Error, error: &io::Error) -> Error {
    if busy_file::is_held(error) { told.with_reason(HELD_OPEN) } else { told }
}
