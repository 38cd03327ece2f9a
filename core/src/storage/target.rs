//! The file that `auth.json` really is: behind symbolic links, and perhaps a mount point.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::file_error::{unreadable, unwritable};
#[cfg(unix)]
use super::link_trail;
use super::mounts;
use super::ownership::Sharing;
use crate::error::{Error, ErrorKind, Result};

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;

/// Where a write goes.
#[derive(Debug)]
pub(super) struct Target {
    /// The file itself; it may not exist.
    pub(super) path: PathBuf,
    /// The folder it is in, which does.
    pub(super) folder: PathBuf,
    /// The file's metadata, if it exists.
    pub(super) existing: Option<Metadata>,
}

impl Target {
    /// Follows the links of `named`, also a dangling one to where it points.
    pub(super) fn resolve(named: &Path) -> Result<Self> {
        let path = follow_links(named).map_err(|error| unreadable(named, &error))?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let folder =
            parent.canonicalize().map_err(|error| unwritable("write in", parent, &error))?;
        let existing = match std::fs::metadata(&path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(&path, &error)),
        };
        #[cfg(unix)]
        existing
            .clone()
            .map_or_else(|| folder.metadata(), Ok)
            .and_then(|found| link_trail::check(named, &found))
            .map_err(|error| unreadable(named, &error))?;
        let name = path.file_name().unwrap_or_default();
        Ok(Self { path: folder.join(name), folder, existing })
    }

    /// Fails where the record is not to be written: not a file, marked read-only, or a mounted
    /// file that its host has replaced.
    pub(super) fn check_writable(&self) -> Result<()> {
        let Some(existing) = &self.existing else { return Ok(()) };
        let refuse =
            |kind, what: &str| Err(Error::new(kind, format!("{} {what}", self.path.display())));
        if !existing.is_file() {
            return refuse(ErrorKind::StoreUnavailable, "is not a file; move it away");
        }
        if !owner_may_write(existing) {
            return refuse(
                ErrorKind::StoreReadOnly,
                "is marked read-only; make it writable (chmod u+w)",
            );
        }
        if is_unlinked(existing) {
            return refuse(
                ErrorKind::StoreUnavailable,
                "was replaced outside this mount, so a save would be lost; mount the folder instead",
            );
        }
        Ok(())
    }

    /// What a group may do with the lock files of the record.
    pub(super) fn sharing(&self) -> Sharing {
        Sharing::of(self.existing.as_ref())
    }

    /// Whether something is mounted on the file itself, as containers do: it cannot be replaced,
    /// only written in place.
    pub(super) fn is_mount_point(&self) -> bool {
        mounts::is_mount_point(&self.path)
    }
}

fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let link = std::fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("/")).join(link);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

#[cfg(unix)]
fn owner_may_write(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(file) & 0o200 != 0
}

#[cfg(unix)]
fn is_unlinked(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) == 0
}

#[cfg(not(unix))]
fn owner_may_write(file: &Metadata) -> bool {
    !file.permissions().readonly()
}

#[cfg(not(unix))]
fn is_unlinked(_file: &Metadata) -> bool {
    false
}
