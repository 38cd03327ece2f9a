//! The folder of a sink: which file in it gives way to a copy, and how.
//!
//! The programs in a container, say, may write to it, and this process, which may have more rights
//! than they, writes there too.

#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Stat, Uid, flock};
use rustix::io::Errno;

use super::opened_folder::{Found, OpenedFolder, Owner, Plain, Rename};
use super::options::SinkOptions;
use crate::error::{Error, Result};
use crate::option_value::invalid;
use crate::secret::Fingerprint;
use crate::storage::access_copy::{self, Content};

/// The name of the copy.
const COPY: &str = "auth.json";

/// The locks of a save by the Codex CLI, in its order.
const LOCKS: [&str; 2] = ["auth.lock", "auth.json.lock"];

/// How often a file is put in place again because another program has just changed what is there.
const MOST_TRIES: usize = 3;

/// How long a file that is neither a copy nor a login stays: a program may be writing it.
const BEING_WRITTEN: Duration = Duration::from_secs(1);

/// The folder of a sink.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    folder: OpenedFolder,
    owner: Owner,
    /// What was in the place of the copy and may become a login, and since when it is known.
    unclear: Mutex<Option<(Version, Instant)>>,
}

/// What became of a copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// A login with a refresh token, or with a key, is in its place, and stays.
    Login,
    /// A folder is in its place, and stays.
    Folder,
    /// What is in its place is no login, and may become one.
    Later,
}

/// A file between two writes.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    inode: u64,
    modified: SystemTime,
    content: Fingerprint,
}

/// A held lock.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        flock(&self.0, FlockOperation::Unlock).unwrap_or_default();
    }
}

impl Folder {
    /// Opens the folder, and proves that its user could read a copy in it.
    ///
    /// # Errors
    ///
    /// `invalid_option` if there is no such folder, or if that is not so.
    pub(super) fn open(options: &SinkOptions) -> Result<Self> {
        let path = std::path::absolute(&options.folder).unwrap_or_else(|_| options.folder.clone());
        let refuse = |problem: &str, fix: &str| -> Error {
            invalid("a sink's folder", path.display(), problem, fix)
        };
        let opened = OpenedFolder::open(&path);
        let opened = opened.and_then(|folder| folder.stat().map(|found| (folder, found)));
        let (folder, found) = opened.map_err(|error| match is_link(&path) {
            true => refuse("which is a symbolic link", "name the folder itself"),
            false => {
                refuse(&format!("which cannot be opened: {error}"), "create it, or name another")
            }
        })?;
        let user = options.user.unwrap_or(found.st_uid);
        let owner = Owner {
            user: Uid::from_raw(user),
            group: Gid::from_raw(options.group.unwrap_or(found.st_gid)),
            mode: Mode::from_raw_mode(options.mode),
        };
        let this = Self { path: path.clone(), folder, owner, unclear: Mutex::default() };
        this.settle_leftovers();
        let made = this.prove().map_err(|error| {
            let fix = "let this user write there, or name another";
            refuse(&format!("in which no copy can be made: {error}"), fix)
        })?;
        let is_readable = this.owner.may(0o4, &made) && this.owner.may(0o1, &found);
        let fix =
            format!("name its user, as in uid={user}, and run the agent as root or as that user");
        let problem = format!("in which the user {user} could not read a copy");
        if is_readable { Ok(this) } else { Err(refuse(&problem, &fix)) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the copy is there already.
    ///
    /// # Errors
    ///
    /// `NotFound` if the folder itself is gone.
    pub(super) fn holds(&self, copy: &[u8]) -> io::Result<bool> {
        if self.folder.stat()?.st_nlink == 0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the folder was removed; start the agent again once it is there",
            ));
        }
        Ok(matches!(self.find(COPY)?, Found::File(plain) if *plain.bytes == copy))
    }

    /// Takes the locks of a save if no program holds one. None also where something else is in their
    /// place.
    pub(super) fn try_lock(&self) -> Option<[Lock; 2]> {
        let [first, second] = LOCKS;
        let first = self.try_lock_one(first)?;
        Some([self.try_lock_one(second)?, first])
    }

    /// Puts `copy` in its place, whole or not at all.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be written.
    pub(super) fn put(&self, copy: &[u8]) -> io::Result<Put> {
        // What stays is not moved, not even for an instant.
        let put = self.judge(COPY)?;
        if put != Put::Done {
            return Ok(put);
        }
        let (name, made) = self.make(copy)?;
        let put = self.put_in_place(&name);
        self.clear(&name, made.st_ino, put.is_ok());
        if matches!(put, Ok(Put::Done)) {
            // Best effort: a copy that is lost is written again.
            self.folder.sync();
        }
        put
    }

    /// Has the file `name` take the place of the copy, or change places with what is there: then that
    /// is looked at, and put back if it stays. No program can come in between. Whatever has the name
    /// `name` afterwards is not needed.
    fn put_in_place(&self, name: &str) -> io::Result<Put> {
        for _ in 0..MOST_TRIES {
            match self.folder.rename(name, COPY, Rename::New) {
                Err(Errno::EXIST) => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => return self.replace(name),
                renamed => return renamed.map(|()| Put::Done).map_err(io::Error::from),
            }
            let own = self.folder.inode(name)?;
            match self.folder.rename(name, COPY, Rename::Exchange) {
                // A program has removed it meanwhile.
                Err(Errno::NOENT) => {}
                exchanged => {
                    exchanged?;
                    let put = self.judge(name);
                    if !matches!(put, Ok(Put::Done)) {
                        self.give_back(name, own)?;
                    }
                    return put;
                }
            }
        }
        Err(io::Error::other("programs keep changing it"))
    }

    /// Has the file `name`, which was in the place of the copy until the file `own` was put there, get
    /// that place again. What comes out instead of that file is newer than what went in, and goes back
    /// in its turn.
    fn give_back(&self, name: &str, own: u64) -> io::Result<()> {
        let mut expected = own;
        for _ in 0..MOST_TRIES {
            let given = self.folder.inode(name)?;
            match self.folder.rename(name, COPY, Rename::Exchange) {
                Err(Errno::NOENT) => return Ok(self.folder.rename(name, COPY, Rename::New)?),
                exchanged => exchanged?,
            }
            if self.folder.inode(name)? == expected {
                return Ok(());
            }
            expected = given;
        }
        let name = self.path.join(name);
        let message = format!("programs keep changing it; {} has a login", name.display());
        Err(io::Error::other(message))
    }

    /// Removes the name `name`, which the file `own` was made under. Where that was not put in place, the
    /// name may be that of a login, which stays.
    fn clear(&self, name: &str, own: u64, is_put: bool) {
        if is_put || self.folder.inode(name) == Ok(own) {
            self.folder.remove(name);
        }
    }

    /// Has the file `name` take the place of the copy, on a file system that cannot exchange two.
    fn replace(&self, name: &str) -> io::Result<Put> {
        let put = self.judge(COPY)?;
        if put == Put::Done {
            self.folder.replace(name, COPY)?;
        }
        Ok(put)
    }

    /// Returns whether the file `name` may go.
    fn judge(&self, name: &str) -> io::Result<Put> {
        let plain = match self.find(name)? {
            Found::Nothing | Found::Planted => return Ok(Put::Done),
            Found::Folder => return Ok(Put::Folder),
            Found::File(plain) => plain,
        };
        Ok(match access_copy::content(&plain.bytes) {
            Content::Copy => Put::Done,
            Content::Login => Put::Login,
            Content::Nothing | Content::Unclear if self.is_settled(&plain) => Put::Done,
            Content::Nothing | Content::Unclear => Put::Later,
        })
    }

    /// Returns whether this file has been as it is for so long that no program is writing it.
    fn is_settled(&self, plain: &Plain) -> bool {
        let content = Fingerprint::of(&plain.bytes);
        let version = Version { inode: plain.inode, modified: plain.modified, content };
        let mut unclear = self.unclear.lock().unwrap_or_else(PoisonError::into_inner);
        match &*unclear {
            Some((known, since)) if *known == version => since.elapsed() >= BEING_WRITTEN,
            _ => {
                *unclear = Some((version, Instant::now()));
                false
            }
        }
    }

    fn find(&self, name: &str) -> io::Result<Found> {
        self.folder.find(name, access_copy::LARGEST + 1)
    }

    fn try_lock_one(&self, name: &str) -> Option<Lock> {
        let file = match self.folder.open_plain(name, OFlags::RDWR) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.folder.create(name, &self.owner).ok().map(|(file, _)| file)
            }
            opened => opened.ok().flatten(),
        }?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Lock(file))
    }

    /// Makes a temp file with this `content`. Returns its name, and what the system says of it.
    fn make(&self, content: &[u8]) -> io::Result<(String, Stat)> {
        let mut random = [0; 3];
        let chance = SystemRandom::new().fill(&mut random);
        chance.map_err(|_| io::Error::other("the system has no random numbers"))?;
        let name = temp_name(&random);
        let (mut file, made) = self.folder.create(&name, &self.owner)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        if written.is_err() {
            self.folder.remove(&name);
        }
        written.map(|()| (name, made))
    }

    /// Makes a file as a copy would be, and removes it.
    fn prove(&self) -> io::Result<Stat> {
        let (name, made) = self.make(b"{}")?;
        self.folder.remove(&name);
        Ok(made)
    }

    /// Removes the copies, and puts back the logins, that are under the names of temp files because an
    /// agent was killed. Anything else stays: it may be a login that a program is writing.
    fn settle_leftovers(&self) {
        for name in self.folder.names().into_iter().filter(|name| is_temp_name(name)) {
            let Ok(Found::File(plain)) = self.find(&name) else { continue };
            match access_copy::content(&plain.bytes) {
                Content::Copy => self.folder.remove(&name),
                Content::Login => self.restore(&name),
                Content::Nothing | Content::Unclear => {}
            }
        }
    }

    /// Puts the login `name` back, unless something is there that stays.
    fn restore(&self, name: &str) {
        let put = match self.judge(COPY) {
            Ok(Put::Done) => self.put_in_place(name),
            stays => stays,
        };
        let (folder, file) = (self.path.display(), self.path.join(name));
        if matches!(put, Ok(Put::Done)) {
            self.folder.remove(name);
            tracing::warn!(%folder, "auth.json has the login again that an agent had moved which was killed");
        } else {
            let file = file.display();
            tracing::warn!(%file, "an agent that was killed had moved this login, whose place is taken; move it to auth.json if it is needed, else remove it");
        }
    }
}

fn is_link(path: &Path) -> bool {
    let path: PathBuf = path.components().collect();
    path.is_symlink()
}

/// What the name of a sink's temp file begins with. Those of stores have another name: there it can
/// be a login that only they know what to do with.
const TEMP: &str = ".codex-auth-sink-";

/// What it ends with.
const TEMP_END: &str = ".tmp";

fn temp_name(random: &[u8; 3]) -> String {
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{TEMP}{random}{TEMP_END}")
}

fn is_temp_name(name: &str) -> bool {
    let random = name.strip_prefix(TEMP).and_then(|name| name.strip_suffix(TEMP_END));
    random.is_some_and(|it| it.len() == 6 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
