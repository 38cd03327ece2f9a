//! The Unix socket of the agent: its folder, its modes, and which agent of several listens on it.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, Interval, interval, sleep};

use crate::error::{Error, ErrorKind, Result};
use crate::option_value::invalid;
use crate::process::{Program, file_id};
use crate::storage::agent::{default_socket, folder_trust};
use crate::storage::lock_file::LockFile;
use crate::storage::lock_holder;
use crate::storage::ownership::Sharing;
use crate::storage::plain_file::Links;

/// How often this looks whether the socket is still its own.
const LOOK: Duration = Duration::from_secs(1);

/// How long a start waits for a lock whose holder does not listen: an agent that has lost its socket
/// has bound it again by then.
const PATIENCE: Duration = Duration::from_secs(3);

const PAUSE: Duration = Duration::from_millis(20);

/// A socket on which this process listens. Dropping it removes the socket, if this process made it.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    is_shared: bool,
    /// Whether this process has made it.
    is_own: bool,
    /// Which socket it is: another program may have replaced it.
    id: Option<(u64, u64)>,
    looks: Interval,
    /// Whether another program has its place, which was warned of.
    is_lost: bool,
    /// Held as long as the socket is there, so that of two agents that start one waits for the other.
    _lock: Option<LockFile>,
}

impl Socket {
    /// Listens at `path`, or at the default place. With `is_shared` other users may connect.
    ///
    /// # Errors
    ///
    /// `invalid_option` if another user may write to the folder, or if something else is in the place
    /// of the socket; `store_unavailable` if another program listens there.
    pub(super) async fn bind(path: Option<PathBuf>, is_shared: bool) -> Result<Self> {
        let is_default = path.is_none();
        let path = path.map_or_else(default_socket, |path| absolute(&path))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let is_new = make_folder(folder)?;
        check_folder(folder)?;
        if is_new || is_default {
            set_mode(folder, if is_shared { 0o711 } else { 0o700 })?;
        }
        let lock = claim(&path).await?;
        remove_stale(&path)?;
        let listener = listen(&path, is_shared).map_err(|error| unusable(&path, &error))?;
        let (id, looks) = (id_at(&path), interval(LOOK));
        Ok(Self { listener, path, is_shared, is_own: true, id, looks, is_lost: false, _lock: lock })
    }

    /// Takes over the socket of a service manager, which goes on to listen when this process has ended.
    /// With `is_shared` other users may connect, if this process has to bind it again.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the socket has no path, or if another user may write to its folder.
    pub(super) fn adopt(listener: StdListener, is_shared: bool) -> Result<Self> {
        let address = listener.local_addr().ok();
        let Some(path) = address.as_ref().and_then(SocketAddr::as_pathname) else {
            let problem = "which no program in a container could reach";
            return Err(invalid("the socket", "without a path", problem, "name a path"));
        };
        let path = path.to_owned();
        check_folder(path.parent().unwrap_or(Path::new("/")))?;
        let taken_over = listener.set_nonblocking(true);
        let listener = taken_over.and_then(|()| UnixListener::from_std(listener));
        let listener = listener.map_err(|error| unusable(&path, &error))?;
        let (id, looks) = (id_at(&path), interval(LOOK));
        Ok(Self {
            listener,
            path,
            is_shared,
            is_own: false,
            id,
            looks,
            is_lost: false,
            _lock: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next client, and holds the place of the socket meanwhile.
    pub(super) async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            tokio::select! {
                // Clients that come all the time do not keep this from looking.
                biased;
                _ = self.looks.tick() => self.hold_place(),
                accepted = self.listener.accept() => return accepted.map(|(stream, _)| stream),
            }
        }
    }

    /// Binds again if another program has removed the socket, or has put something in its place: what
    /// listens there would get the bearers of clients, and hand out a login of its own.
    fn hold_place(&mut self) {
        if id_at(&self.path) == self.id {
            self.is_lost = false;
            return;
        }
        let bound = self.bind_again();
        let socket = self.path.display();
        match bound {
            Ok(()) => tracing::warn!(
                %socket,
                "another program had taken the place of this socket, and the agent took it back; \
                 containers must mount its folder read-only (:ro)"
            ),
            Err(error) if !self.is_lost => {
                tracing::warn!(%socket, "another program has taken this socket's place: {error}");
                self.is_lost = true;
            }
            Err(_) => {}
        }
    }

    fn bind_again(&mut self) -> Result<()> {
        if self.path.is_symlink() {
            std::fs::remove_file(&self.path).map_err(|error| unusable(&self.path, &error))?;
        }
        remove_stale(&self.path)?;
        let listener = listen(&self.path, self.is_shared);
        self.listener = listener.map_err(|error| unusable(&self.path, &error))?;
        self.id = id_at(&self.path);
        self.is_own = true;
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_own && self.id.is_some() && id_at(&self.path) == self.id {
            std::fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

/// Returns which file is at `path`, if there is one.
fn id_at(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().and_then(|found| file_id(&found))
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

/// Checks that only this user may write to `folder`, and to those above it: another one could put a
/// socket of his own in its place.
fn check_folder(folder: &Path) -> Result<()> {
    let failed = |error| unusable(folder, &error);
    let refuse = |open: &Path, problem: &str| {
        let fix = "name a socket in a folder that only this user may write to";
        Err(invalid("the socket's folder", open.display(), problem, fix))
    };
    let own = rustix::process::geteuid().as_raw();
    let found = folder.metadata().map_err(failed)?;
    if !found.is_dir() || ![own, 0].contains(&found.uid()) {
        return refuse(folder, "which is another user's");
    }
    match folder_trust::open_to_others(folder).map_err(failed)? {
        Some(open) if open == folder => refuse(folder, "which other users may write to"),
        Some(open) => refuse(folder, &format!("and other users may write to {}", open.display())),
        None => Ok(()),
    }
}

fn set_mode(folder: &Path, mode: u32) -> Result<()> {
    let set = std::fs::set_permissions(folder, Permissions::from_mode(mode));
    set.map_err(|error| unusable(folder, &error))
}

/// Takes the lock beside the socket, which an agent holds while it runs. A program in a container that
/// mounts the folder can hold it for as long as it likes: that delays the start, and no more.
///
/// # Errors
///
/// `store_unavailable` if a program listens at `path`.
async fn claim(path: &Path) -> Result<Option<LockFile>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let beside = PathBuf::from(name);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lock = LockFile::try_acquire(&beside, Sharing::default(), Links::Refused);
        let lock = lock.map_err(|error| unusable(&beside, &error))?;
        if let Some(listener) = listener_at(path).await {
            return Err(taken(path, &listener));
        }
        if lock.is_some() {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            tracing::warn!(
                lock = %beside.display(),
                "{} holds the lock of the agent's socket, on which no program listens; the agent starts \
                 without it",
                lock_holder::name(&beside)
            );
            return Ok(None);
        }
        sleep(PAUSE).await;
    }
}

/// Returns what to call the program that listens at `path`; none if there is none.
async fn listener_at(path: &Path) -> Option<String> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let is_socket = path.metadata().is_ok_and(|found| found.file_type().is_socket());
    let process = match UnixStream::connect(path).await {
        _ if !is_socket => return None,
        Err(error) if matches!(error.kind(), ConnectionRefused | NotFound) => return None,
        // It is too busy to answer, or knows another protocol.
        Err(_) => None,
        Ok(stream) => stream.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok()),
    };
    let program = process.filter(|process| *process > 0).map(Program::of);
    Some(program.map_or_else(|| "another program".to_owned(), |program| program.to_string()))
}

fn taken(path: &Path, listener: &str) -> Error {
    let message = format!(
        "{listener} listens on {} already; if it is an agent, it serves this user's programs; end it \
         first, or name another socket",
        path.display()
    );
    Error::new(ErrorKind::StoreUnavailable, message)
}

/// Removes the socket of an agent that has not ended cleanly.
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
    set_socket_mode(path, mode)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Sets the mode of the socket at `path`, and of nothing that a program puts in its place meanwhile.
#[cfg(target_os = "linux")]
fn set_socket_mode(path: &Path, mode: u32) -> io::Result<()> {
    use rustix::fs::{FileType, Mode, OFlags, fstat, open};
    use std::os::fd::AsRawFd;
    let found = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::Socket {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Sets the mode of the socket at `path`, and of nothing that a link leads to.
#[cfg(not(target_os = "linux"))]
fn set_socket_mode(path: &Path, mode: u32) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Mode, RawMode, chmodat};
    let mode = Mode::from_raw_mode(RawMode::try_from(mode).unwrap_or_default());
    Ok(chmodat(CWD, path, mode, AtFlags::SYMLINK_NOFOLLOW)?)
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
        let first = Socket::bind(Some(path.clone()), false).await.expect("bound");
        assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));
        let error = Socket::bind(Some(path.clone()), false).await.expect_err("taken");
        assert_eq!(error.code(), "store_unavailable");
        assert!(error.to_string().contains("listens on"), "{error}");
        drop(first);
        assert!(!path.exists());
        drop(StdListener::bind(&path).expect("what a killed agent leaves"));
        let second = Socket::bind(Some(path.clone()), true).await.expect("bound");
        assert_eq!(mode(&path), 0o666);
        let shared = folder.path().join("shared/agent.sock");
        drop(Socket::bind(Some(shared.clone()), true).await.expect("bound"));
        assert_eq!(mode(shared.parent().expect("a folder")), 0o711);
        // What has replaced it is not removed.
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "").expect("written");
        drop(second);
        assert!(path.exists());
        let error = Socket::bind(Some(path), false).await.expect_err("no socket");
        assert!(error.to_string().contains("where something else is"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for mode in [0o770, 0o707, 0o1777] {
            let wide = Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), wide).expect("set");
            let error = Socket::bind(Some(folder.path().join("agent.sock")), false).await;
            assert_eq!(error.expect_err("refused").code(), "invalid_option", "{mode:o}");
        }
    }

    #[tokio::test]
    async fn the_socket_of_a_service_manager_is_used_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.sock");
        let kept = StdListener::bind(&path).expect("bound");
        let adopt = || Socket::adopt(kept.try_clone().expect("cloned"), false);
        let mut socket = adopt().expect("adopted");
        let _client = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
        socket.accept().await.expect("the client is there");
        drop(socket);
        assert!(path.exists());
        // What takes its place is replaced, and then the socket is this process's own.
        let mut socket = adopt().expect("adopted");
        std::fs::remove_file(&path).expect("removed");
        socket.hold_place();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        assert!(!path.exists());
        let open = Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("set");
        assert_eq!(adopt().expect_err("refused").code(), "invalid_option");
    }

    #[tokio::test]
    async fn a_folder_in_one_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("set");
        let error = Socket::bind(Some(folder.path().join("run/agent.sock")), false).await;
        let error = error.expect_err("refused");
        assert_eq!(error.code(), "invalid_option");
        let open = format!("write to {}", folder.path().display());
        assert!(error.to_string().contains(&open), "{error}");
    }

    #[tokio::test]
    async fn the_socket_of_a_program_that_listens_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("foreign.sock");
        let foreign = StdListener::bind(&path).expect("bound");
        let error = Socket::bind(Some(path.clone()), false).await.expect_err("taken");
        assert_eq!(error.code(), "store_unavailable");
        let own = Program::current().pid;
        assert!(error.to_string().contains(&format!("process {own}")), "{error}");
        drop(std::os::unix::net::UnixStream::connect(&path).expect("it listens"));
        drop(foreign);
        drop(Socket::bind(Some(path), false).await.expect("it is stale now"));
    }

    #[tokio::test]
    async fn a_lock_that_a_container_holds_keeps_no_agent_from_starting() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.sock");
        let lock = folder.path().join("agent.sock.lock");
        let _held = LockFile::try_acquire(&lock, Sharing::default(), Links::Refused);
        tokio::time::pause();
        drop(Socket::bind(Some(path), false).await.expect("bound"));
    }

    #[tokio::test]
    async fn what_takes_the_place_of_the_socket_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let [path, other] = ["agent.sock", "other.sock"].map(|name| folder.path().join(name));
        let mut socket = Socket::bind(Some(path.clone()), true).await.expect("bound");
        let foreign = StdListener::bind(&other).expect("bound");
        foreign.set_nonblocking(true).expect("set");
        let none: fn(&Path, &Path) -> io::Result<()> = |_, _| Ok(());
        let link: fn(&Path, &Path) -> io::Result<()> =
            |other, path| std::os::unix::fs::symlink(other, path);
        let another: fn(&Path, &Path) -> io::Result<()> =
            |other, path| std::fs::rename(other, path);
        for take in [none, link, another] {
            std::fs::remove_file(&path).expect("removed");
            take(&other, &path).expect("taken");
            tokio::time::pause();
            let visit = tokio::time::timeout(2 * LOOK, socket.accept()).await;
            tokio::time::resume();
            assert!(visit.is_err(), "no client has come");
            assert_eq!(mode(&path), 0o666);
            drop(std::os::unix::net::UnixStream::connect(&path).expect("it listens"));
            socket.accept().await.expect("the client is there");
        }
        let visit = foreign.accept().expect_err("no client has come there");
        assert_eq!(visit.kind(), io::ErrorKind::WouldBlock);
        drop(socket);
        assert!(!path.exists());
    }
}
