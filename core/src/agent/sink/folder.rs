//! A folder that the programs in a container, say, may write to, and that this process writes to
//! although it may have more rights than they.
//!
//! It is opened once. All files are opened and renamed by their names in it, and no link is followed,
//! so that nothing outside of it is ever read or written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown,
    flock, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::options::SinkOptions;
use crate::error::{Error, Result};
use crate::option_value::invalid;
use crate::secret::Fingerprint;
use crate::storage::access_copy::{self, Content};
use crate::storage::temp_file;

/// The name of the copy.
const COPY: &str = "auth.json";

/// The locks of a save by the Codex CLI, in its order.
const LOCKS: [&str; 2] = ["auth.lock", "auth.json.lock"];

/// How often the copy is put in place again because another program has just changed what is there.
const MOST_TRIES: usize = 3;

/// The folder of a sink.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    folder: OwnedFd,
    user: Uid,
    group: Gid,
    mode: Mode,
    /// What was in the place of the copy, and is no login, when it was last looked at: it may become
    /// one, if a program is writing it.
    unclear: std::sync::Mutex<Option<Fingerprint>>,
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

/// What is in the place of the copy.
enum Found {
    Nothing,
    File(Zeroizing<Vec<u8>>),
    /// A link, a pipe, a socket or a device.
    Planted,
    Folder,
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
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = openat(CWD, &path, flags, Mode::empty());
        let opened = opened.and_then(|folder| fstat(&folder).map(|found| (folder, found)));
        let (folder, found) = opened.map_err(|error| {
            refuse(&format!("which cannot be opened: {error}"), "create it, or name another")
        })?;
        let user = options.user.unwrap_or(found.st_uid);
        let this = Self {
            user: Uid::from_raw(user),
            group: Gid::from_raw(options.group.unwrap_or(found.st_gid)),
            mode: Mode::from_raw_mode(options.mode),
            unclear: std::sync::Mutex::default(),
            folder,
            path: path.clone(),
        };
        this.remove_leftovers();
        let made = this.prove().map_err(|error| {
            let fix = "let this user write there, or name another";
            refuse(&format!("in which no copy can be made: {error}"), fix)
        })?;
        let is_readable = may_read(&made, &this, 0o4) && may_read(&found, &this, 0o1);
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
        if fstat(&self.folder)?.st_nlink == 0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the folder was removed; start the agent again once it is there",
            ));
        }
        Ok(matches!(self.find(COPY)?, Found::File(bytes) if *bytes == copy))
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
        let (name, _) = self.make(copy)?;
        let put = self.put_in_place(&name);
        // Fails where it is in place, and nothing is left to remove.
        unlinkat(&self.folder, &name, AtFlags::empty()).unwrap_or_default();
        if matches!(put, Ok(Put::Done)) {
            // Best effort: a copy that is lost is written again.
            rustix::fs::fsync(&self.folder).unwrap_or_default();
        }
        put
    }

    /// Has the file `name` take the place of the copy, or change places with what is there: then that
    /// is looked at, and put back if it is a login. No program can come in between.
    fn put_in_place(&self, name: &str) -> io::Result<Put> {
        for _ in 0..MOST_TRIES {
            match self.rename(name, Rename::New) {
                Err(Errno::EXIST) => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => return self.replace(name),
                renamed => return renamed.map(|()| Put::Done).map_err(io::Error::from),
            }
            match self.rename(name, Rename::Exchange) {
                // A program has removed it meanwhile.
                Err(Errno::NOENT) => {}
                exchanged => {
                    exchanged?;
                    let put = self.judge(name);
                    if !matches!(put, Ok(Put::Done)) {
                        self.rename(name, Rename::Exchange)?;
                    }
                    return put;
                }
            }
        }
        Err(io::Error::other("programs keep changing it"))
    }

    /// Has the file `name` take the place of the copy, on a file system that cannot exchange two.
    fn replace(&self, name: &str) -> io::Result<Put> {
        let put = self.judge(COPY)?;
        if put == Put::Done {
            renameat(&self.folder, name, &self.folder, COPY)?;
        }
        Ok(put)
    }

    /// Returns whether the file `name` may go.
    fn judge(&self, name: &str) -> io::Result<Put> {
        let bytes = match self.find(name)? {
            Found::Nothing | Found::Planted => return Ok(Put::Done),
            Found::Folder => return Ok(Put::Folder),
            Found::File(bytes) => bytes,
        };
        Ok(match access_copy::content(&bytes) {
            Content::Copy => Put::Done,
            Content::Login => Put::Login,
            Content::Unclear if self.was_there(Fingerprint::of(&bytes)) => Put::Done,
            Content::Unclear => Put::Later,
        })
    }

    /// Returns whether this was there at the last look too.
    fn was_there(&self, unclear: Fingerprint) -> bool {
        let mut known = self.unclear.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.replace(unclear) == Some(unclear)
    }

    fn find(&self, name: &str) -> io::Result<Found> {
        let found = match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            found => found?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Ok(Found::Folder),
            _ => return Ok(Found::Planted),
        }
        match self.open_existing(name, OFlags::RDONLY) {
            Ok(Some(file)) => {
                let mut bytes = Zeroizing::new(Vec::new());
                file.take(access_copy::LARGEST + 1).read_to_end(&mut bytes)?;
                Ok(Found::File(bytes))
            }
            // It has changed since it was looked at.
            Ok(None) | Err(Errno::LOOP | Errno::NXIO) => Ok(Found::Planted),
            Err(Errno::NOENT) => Ok(Found::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file `name` at once, whatever it is; none if it is no plain file.
    fn open_existing(&self, name: &str, flags: OFlags) -> rustix::io::Result<Option<File>> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&self.folder, name, flags, Mode::empty())?;
        let is_plain = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile;
        Ok(is_plain.then(|| file.into()))
    }

    fn try_lock_one(&self, name: &str) -> Option<Lock> {
        let file = match self.open_existing(name, OFlags::RDWR) {
            Err(Errno::NOENT) => self.create(name).ok().map(|(file, _)| file),
            opened => opened.ok().flatten(),
        }?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Lock(file))
    }

    /// Makes a temp file with this `content`, and returns its name and what it is.
    fn make(&self, content: &[u8]) -> io::Result<(String, Stat)> {
        let mut random = [0; 3];
        let chance = SystemRandom::new().fill(&mut random);
        chance.map_err(|_| io::Error::other("the system has no random numbers"))?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = temp_file::name(&random);
        let (mut file, made) = self.create(&name)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        if written.is_err() {
            unlinkat(&self.folder, &name, AtFlags::empty()).unwrap_or_default();
        }
        written.map(|()| (name, made))
    }

    /// Makes the file `name`, which is private until its user has it. One that is there, or a link, is
    /// never opened.
    fn create(&self, name: &str) -> io::Result<(File, Stat)> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)?;
        // What cannot be had shows in whose the file is.
        fchown(&file, None, Some(self.group)).unwrap_or_default();
        fchown(&file, Some(self.user), None).unwrap_or_default();
        fchmod(&file, self.mode).unwrap_or_default();
        let made = fstat(&file)?;
        Ok((file.into(), made))
    }

    /// Makes a file as a copy would be, and removes it.
    fn prove(&self) -> io::Result<Stat> {
        let (name, made) = self.make(b" ")?;
        unlinkat(&self.folder, &name, AtFlags::empty())?;
        Ok(made)
    }

    /// Removes what an agent has left that was killed in the middle of a copy.
    fn remove_leftovers(&self) {
        let entries = Dir::read_from(&self.folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            if name.to_str().is_ok_and(|name| temp_file::is_name(name.as_ref())) {
                unlinkat(&self.folder, name, AtFlags::empty()).unwrap_or_default();
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn rename(&self, name: &str, how: Rename) -> rustix::io::Result<()> {
        use rustix::fs::{RenameFlags, renameat_with};
        let flags = match how {
            Rename::New => RenameFlags::NOREPLACE,
            Rename::Exchange => RenameFlags::EXCHANGE,
        };
        renameat_with(&self.folder, name, &self.folder, COPY, flags)
    }

    #[cfg(not(target_os = "linux"))]
    fn rename(&self, _: &str, _: Rename) -> rustix::io::Result<()> {
        Err(Errno::NOSYS)
    }
}

/// How a file gets the name of the copy.
#[derive(Debug, Clone, Copy)]
enum Rename {
    /// If nothing has that name.
    New,
    /// By giving its own name to what has it.
    Exchange,
}

/// Returns whether the user of `folder` has the permission `bit` for the file or folder `found`.
fn may_read(found: &Stat, folder: &Folder, bit: u32) -> bool {
    let mode = found.st_mode;
    if found.st_uid == folder.user.as_raw() {
        return mode & (bit << 6) != 0;
    }
    if found.st_gid == folder.group.as_raw() {
        return mode & (bit << 3) != 0;
    }
    mode & bit != 0
}
