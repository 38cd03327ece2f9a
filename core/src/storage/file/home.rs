//! The folder of a login.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// A `CODEX_HOME`, by its real path if it exists.
#[derive(Debug)]
pub(in crate::storage) struct Home {
    path: PathBuf,
    /// Whether it was there: only then it can be gone.
    was_there: bool,
}

impl Home {
    pub(in crate::storage) fn of(codex_home: &Path) -> Self {
        let real = codex_home.canonicalize();
        let was_there = real.is_ok();
        Self { path: real.unwrap_or_else(|_| codex_home.to_owned()), was_there }
    }

    pub(in crate::storage) fn path(&self) -> &Path {
        &self.path
    }

    /// A home that is gone is no logout: it may be a volume that is about to be mounted again.
    pub(in crate::storage) fn check(&self) -> Result<()> {
        if !self.was_there || self.path.exists() {
            return Ok(());
        }
        let home = self.path.display();
        let message = format!("{home} is gone; put it back, or make it and sign in again");
        Err(Error::new(ErrorKind::StoreUnavailable, message))
    }

    /// The Codex CLI takes a home that anybody may write to, so it is no error; what others can do
    /// to the login there, no program of its owner can prevent.
    pub(super) fn warn_if_open(&self) {
        if self.path.metadata().is_ok_and(|home| anybody_may_write(&home)) {
            let home = self.path.display();
            tracing::warn!(%home, "anybody may write to the folder of the login");
        }
    }
}

#[cfg(unix)]
fn anybody_may_write(folder: &std::fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(folder) & 0o002 != 0
}

#[cfg(not(unix))]
fn anybody_may_write(_folder: &std::fs::Metadata) -> bool {
    false
}
