//! The file that `auth.json` really is: behind symbolic links, and perhaps a mount point.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::file_error::{unreadable, unwritable};
#[cfg(unix)]
use super::link_trail;
use super::mounts;
use super::ownership::Sharing;
use super::real_path;
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
    /// What a group may do with the record, and so with its lock files and ledger.
    pub(super) sharing: Sharing,
}

impl Target {
    /// Follows the links of `named`, also a dangling one to where it points.
    pub(super) fn resolve(named: &Path) -> Result<Self> {
        let path = follow_links(named).map_err(|error| unreadable(named, &error))?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let folder =
            real_path::of(parent).map_err(|error| unwritable("write in", parent, &error))?;
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
        let sharing = Sharing::of(&path, existing.as_ref());
        Ok(Self { path: folder.join(name), folder, existing, sharing })
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
        self.check_mount()
    }

    /// Fails if this is a mounted file that its host has replaced. Other programs have redeemed what
    /// is in it, or soon will, and a save would reach this container alone.
    pub(super) fn check_mount(&self) -> Result<()> {
        if !self.is_replaced() {
            return Ok(());
        }
        let message = format!(
            "{} is a mounted file that was replaced on the host, so it does not get the host's new \
             tokens, and the host would not get those of a refresh; mount its folder instead",
            self.path.display()
        );
        Err(Error::new(ErrorKind::StoreUnavailable, message))
    }

    /// Whether this is a mounted file that its host has replaced. One without a name that is not a
    /// mount point has just given way to a save.
    fn is_replaced(&self) -> bool {
        let is_unlinked = self.existing.as_ref().is_some_and(is_unlinked);
        is_unlinked && self.is_mount_point() || mounts::is_of_removed(&self.path)
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

/// Whether `file` has no name any more, in any folder.
#[cfg(unix)]
pub(super) fn is_unlinked(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) == 0
}

#[cfg(not(unix))]
fn owner_may_write(file: &Metadata) -> bool {
    !file.permissions().readonly()
}

#[cfg(not(unix))]
pub(super) fn is_unlinked(_file: &Metadata) -> bool {
    false
}
