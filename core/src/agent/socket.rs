//! The Unix socket of the agent: its folder, its modes, and which agent of several listens on it.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::error::{Error, ErrorKind, Result};
use crate::option_value::invalid;
use crate::process::file_id;
use crate::storage::agent::default_socket;
use crate::storage::lock_file::LockFile;
use crate::storage::lock_holder;
use crate::storage::ownership::Sharing;
use crate::storage::plain_file::Links;

/// A socket on which this process listens. Dropping it removes the socket.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Which socket it is: another agent may have replaced it.
    id: Option<(u64, u64)>,
    /// Held as long as the socket is there, so that no other agent takes it for a stale one.
    _lock: LockFile,
}

impl Socket {
    /// Listens at `path`, or at the default place. With `is_shared` other users may connect.
    ///
    /// # Errors
    ///
    /// `invalid_option` if another user may write to the folder; `store_unavailable` if another agent
    /// listens there, or if something else is in the place of the socket.
    pub(super) fn bind(path: Option<PathBuf>, is_shared: bool) -> Result<Self> {
        let is_default = path.is_none();
        let path = path.map_or_else(default_socket, |path| absolute(&path))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let is_new = make_folder(folder)?;
        check_folder(folder)?;
        if is_new || is_default {
            set_mode(folder, if is_shared { 0o711 } else { 0o700 })?;
        }
        let lock = lock(&path)?;
        remove_stale(&path)?;
        let listener = listen(&path, is_shared).map_err(|error| unusable(&path, &error))?;
        let id = path.symlink_metadata().ok().and_then(|found| file_id(&found));
        Ok(Self { listener, path, id, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let found = self.path.symlink_metadata();
        if found.is_ok_and(|found| file_id(&found) == self.id) {
            std::fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| unusable(path, &error))
}

/// Makes `folder` if it is not there. Returns whether it was not.
fn make_folder(folder: &Path) -> Result<bool> {
    if folder.is_dir() {
        return Ok(false);
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map(|()| true).map_err(|error| unusable(folder, &error))
}

/// Checks that only this user may write to `folder`: another one could put a socket of his own in its
/// place.
fn check_folder(folder: &Path) -> Result<()> {
    let found = folder.metadata().map_err(|error| unusable(folder, &error))?;
    if is_ours_alone(&found) {
        return Ok(());
    }
    let problem = "which is another user's, or which other users may write to";
    let fix = "name a socket in a folder that only this user may write to";
    Err(invalid("the socket's folder", folder.display(), problem, fix))
}

fn set_mode(folder: &Path, mode: u32) -> Result<()> {
    let set = std::fs::set_permissions(folder, Permissions::from_mode(mode));
    set.map_err(|error| unusable(folder, &error))
}

fn is_ours_alone(folder: &Metadata) -> bool {
    let own = rustix::process::geteuid().as_raw();
    folder.is_dir() && [own, 0].contains(&folder.uid()) && folder.mode() & 0o022 == 0
}

/// Takes the lock beside the socket, which an agent holds while it runs.
fn lock(path: &Path) -> Result<LockFile> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let beside = PathBuf::from(name);
    let lock = LockFile::try_acquire(&beside, Sharing::default(), Links::Refused);
    lock.map_err(|error| unusable(&beside, &error))?.ok_or_else(|| {
        let (holder, path) = (lock_holder::name(&beside), path.display());
        let message = format!(
            "{holder} listens on {path} already, and serves this user's programs; end it first, or \
             name another socket"
        );
        Error::new(ErrorKind::StoreUnavailable, message)
    })
}

/// Removes the socket of an agent that has not ended cleanly. The lock tells that it has ended.
fn remove_stale(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(|error| unusable(path, &error))
        }
        Ok(_) => {
            let fix = "name another path, or move it away";
            Err(invalid("the socket", path.display(), "where something else is", fix))
        }
        Err(error) => Err(unusable(path, &error)),
    }
}

fn listen(path: &Path, is_shared: bool) -> io::Result<UnixListener> {
    let listener = StdListener::bind(path)?;
    let mode = if is_shared { 0o666 } else { 0o600 };
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    let message = format!("cannot listen on {path}: {error}; name another socket");
    Error::new(ErrorKind::StoreUnavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().expect("there").mode() & 0o777
    }

    #[tokio::test]
    async fn one_agent_listens_and_leaves_nothing_that_is_in_the_way_of_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made/agent.sock");
        let first = Socket::bind(Some(path.clone()), false).expect("bound");
        assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));
        let error = Socket::bind(Some(path.clone()), false).expect_err("taken");
        assert_eq!(error.code(), "store_unavailable");
        assert!(error.to_string().contains("listens on"), "{error}");
        drop(first);
        assert!(!path.exists());
        drop(StdListener::bind(&path).expect("what a killed agent leaves"));
        let second = Socket::bind(Some(path.clone()), true).expect("bound");
        assert_eq!(mode(&path), 0o666);
        let shared = folder.path().join("shared/agent.sock");
        drop(Socket::bind(Some(shared.clone()), true).expect("bound"));
        assert_eq!(mode(shared.parent().expect("a folder")), 0o711);
        // What has replaced it is not removed.
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "").expect("written");
        drop(second);
        assert!(path.exists());
        let error = Socket::bind(Some(path), false).expect_err("no socket");
        assert!(error.to_string().contains("where something else is"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for mode in [0o770, 0o707, 0o1777] {
            let wide = Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), wide).expect("set");
            let error = Socket::bind(Some(folder.path().join("agent.sock")), false);
            assert_eq!(error.expect_err("refused").code(), "invalid_option", "{mode:o}");
        }
    }
}
