//! Errors about a file, each with its path and what to do.

use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind};

/// Why the file at `path` could not be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::InvalidInput => "move it away",
        io::ErrorKind::PermissionDenied => "make it readable for this user",
        _ => "check CODEX_HOME and the file system",
    };
    Error::new(
        ErrorKind::StoreUnavailable,
        format!("cannot read {}: {error}; {advice}", path.display()),
    )
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
        _ => (ErrorKind::StoreUnavailable, "check CODEX_HOME and the file system"),
    };
    Error::new(kind, format!("cannot {what} {}: {error}; {advice}", path.display()))
}
