//! A folder by its descriptor. All that is in it is opened, made and renamed by its name there, and no
//! link is followed, so that nothing outside of it is ever read or written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RawMode, Stat, Uid, fchmod, fchown, fstat,
    fsync, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use zeroize::Zeroizing;

#[derive(Debug)]
pub(super) struct OpenedFolder(OwnedFd);

/// Whose a new file is.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) user: Uid,
    pub(super) group: Gid,
    pub(super) mode: Mode,
}

/// What has a name in the folder.
pub(super) enum Found {
    Nothing,
    File(Plain),
    /// A link, a pipe, a socket or a device.
    Planted,
    Folder,
}

/// A plain file.
pub(super) struct Plain {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) inode: u64,
    pub(super) modified: SystemTime,
}

/// How a file gets a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rename {
    /// If nothing has that name.
    New,
    /// By giving its own name to what has it.
    Exchange,
}

impl OpenedFolder {
    /// Opens the folder at `path`, but not through a link in its place.
    pub(super) fn open(path: &Path) -> rustix::io::Result<Self> {
        // Without the slash at the end, by which the system would follow a link.
        let path: PathBuf = path.components().collect();
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(CWD, &path, flags, Mode::empty()).map(Self)
    }

    pub(super) fn stat(&self) -> rustix::io::Result<Stat> {
        fstat(&self.0)
    }

    /// Returns the names of all that is there, as far as they are texts.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = Dir::read_from(&self.0).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned)).collect()
    }

    /// Returns what has the name `name`. Of a plain file, `most` bytes are read.
    pub(super) fn find(&self, name: &str, most: u64) -> io::Result<Found> {
        match statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            found if FileType::from_raw_mode(found?.st_mode) == FileType::Directory => {
                return Ok(Found::Folder);
            }
            _ => {}
        }
        let file = match self.open_plain(name, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            opened => opened?,
        };
        let Some(file) = file else { return Ok(Found::Planted) };
        let metadata = file.metadata()?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(most).read_to_end(&mut bytes)?;
        let (inode, modified) = (metadata.ino(), metadata.modified()?);
        Ok(Found::File(Plain { bytes, inode, modified }))
    }

    /// Opens the file `name`; none if it is no plain file. That is never opened, since to open a
    /// device can have an effect.
    #[cfg(target_os = "linux")]
    pub(super) fn open_plain(&self, name: &str, flags: OFlags) -> io::Result<Option<File>> {
        use std::os::fd::AsRawFd;
        let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(&self.0, name, path, Mode::empty())?;
        if !is_plain(&fstat(&found)?) {
            return Ok(None);
        }
        // What was looked at, whatever has its name by now.
        let found = format!("/proc/self/fd/{}", found.as_raw_fd());
        match openat(CWD, found, flags | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => Err(io::Error::other("/proc is not mounted")),
            opened => Ok(Some(opened?.into())),
        }
    }

    /// Opens the file `name`; none if it is no plain file. A link, a pipe or a device
    /// is opened only if another program puts it there between the look and the opening.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn open_plain(&self, name: &str, flags: OFlags) -> io::Result<Option<File>> {
        if !is_plain(&statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?) {
            return Ok(None);
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.0, name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NXIO) => return Ok(None),
            opened => opened?,
        };
        let is_plain = is_plain(&fstat(&file)?);
        Ok(is_plain.then(|| file.into()))
    }

    /// Makes the file `name`, which is private until `owner` has it. One that is there, or a link, is
    /// never opened.
    pub(super) fn create(&self, name: &str, owner: &Owner) -> io::Result<(File, Stat)> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?;
        // What cannot be had shows in whose the file is.
        fchown(&file, None, Some(owner.group)).unwrap_or_default();
        fchown(&file, Some(owner.user), None).unwrap_or_default();
        fchmod(&file, owner.mode).unwrap_or_default();
        let made = fstat(&file)?;
        Ok((file.into(), made))
    }

    /// Returns the number of the file, or whatever it is, that has the name `name`.
    pub(super) fn inode(&self, name: &str) -> rustix::io::Result<u64> {
        statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).map(|found| found.st_ino)
    }

    /// Gives what has the name `from` the name `to`.
    ///
    /// # Errors
    ///
    /// `INVAL`, `NOSYS` or `NOTSUP` where the system or the file system has no such call.
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    pub(super) fn rename(&self, from: &str, to: &str, how: Rename) -> rustix::io::Result<()> {
        use rustix::fs::{RenameFlags, renameat_with};
        let flags = match how {
            Rename::New => RenameFlags::NOREPLACE,
            Rename::Exchange => RenameFlags::EXCHANGE,
        };
        renameat_with(&self.0, from, &self.0, to, flags)
    }

    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    pub(super) fn rename(&self, _: &str, _: &str, _: Rename) -> rustix::io::Result<()> {
        Err(Errno::NOSYS)
    }

    /// Gives the file `from` the name `to`, whatever has that.
    pub(super) fn replace(&self, from: &str, to: &str) -> rustix::io::Result<()> {
        renameat(&self.0, from, &self.0, to)
    }

    /// Removes what has the name `name`, if anything has, and if it is no folder.
    pub(super) fn remove(&self, name: &str) {
        unlinkat(&self.0, name, AtFlags::empty()).unwrap_or_default();
    }

    /// Makes the names durable, as far as that can be had.
    pub(super) fn sync(&self) {
        fsync(&self.0).unwrap_or_default();
    }
}

impl Owner {
    /// Returns whether this user has the permission `bit` for the file or folder `found`.
    pub(super) fn may(&self, bit: RawMode, found: &Stat) -> bool {
        let mode = found.st_mode;
        if found.st_uid == self.user.as_raw() {
            return mode & (bit << 6) != 0;
        }
        if found.st_gid == self.group.as_raw() {
            return mode & (bit << 3) != 0;
        }
        mode & bit != 0
    }
}

fn is_plain(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
}
