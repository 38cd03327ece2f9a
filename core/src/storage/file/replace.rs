//! Replacing the record: a private temp file beside it, synced, renamed over it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use super::target::Target;
use super::{in_place, unwritable};
use crate::error::Result;
use crate::process::ProcessId;
use crate::storage::{Swap, ownership};

const PREFIX: &str = ".codex-auth-sdk-";
const SUFFIX: &str = ".tmp";

/// Letters and digits between the two.
const RANDOM: usize = 6;

/// A temp file of the needed size in the record's folder, with the right owner.
#[derive(Debug)]
pub(in crate::storage) struct Replacement {
    temp: NamedTempFile,
    process: ProcessId,
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // A forked child must not remove the file of its parent.
        if !self.is_own() {
            self.temp.disable_cleanup(true);
        }
    }
}

impl Replacement {
    /// Makes one, which proves that the folder takes it.
    pub(super) fn prepare(target: &Target, size: usize) -> Result<Self> {
        Self::create(target)
            .and_then(|mut temp| {
                temp.temp.write_all(&vec![b' '; size])?;
                // A full disk may show only now.
                temp.temp.as_file().sync_all()?;
                Ok(temp)
            })
            .map_err(|error| unwritable("write in", &target.folder, &error))
    }

    fn create(target: &Target) -> io::Result<Self> {
        let temp = temp_file(&target.folder, RANDOM)?;
        let model = match &target.existing {
            Some(existing) => existing.clone(),
            None => target.folder.metadata()?,
        };
        ownership::follow(temp.as_file(), &model)?;
        keep_stricter_mode(temp.as_file(), &model)?;
        Ok(Self { temp, process: ProcessId::current() })
    }

    /// Whether this process made it; a forked child inherits its parent's.
    pub(in crate::storage) fn is_own(&self) -> bool {
        self.process.is_current()
    }

    /// One that holds `content`, durably: the `prepared` one if it still serves.
    pub(in crate::storage) fn filled(
        target: &Target,
        content: &[u8],
        prepared: Option<Self>,
    ) -> Result<Self> {
        target.check_writable()?;
        let is_usable = |prepared: &Self| {
            prepared.is_own() && prepared.temp.path().parent() == Some(&target.folder)
        };
        let fill = || {
            let mut replacement = match prepared.filter(is_usable) {
                Some(prepared) => prepared,
                None => Self::create(target)?,
            };
            replacement.fill(content)?;
            Ok(replacement)
        };
        fill().map_err(|error| unwritable("write in", &target.folder, &error))
    }

    fn fill(&mut self, content: &[u8]) -> io::Result<()> {
        let file = self.temp.as_file_mut();
        file.rewind()?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()
    }

    /// Makes it the record, with the `content` that it was filled with, in the place of one that
    /// `is_expected`. The record is whole at any instant, except where it cannot be replaced, as at
    /// a mount point, and is written in place.
    pub(in crate::storage) fn put(
        self,
        target: &Target,
        content: &[u8],
        is_expected: impl Fn(&Path) -> Result<bool>,
    ) -> Result<Swap> {
        match self.exchange(target, is_expected)? {
            Some(swap) => Ok(swap),
            None => self
                .rename(target, content)
                .map_err(|error| unwritable("write", &target.path, &error)),
        }
    }

    /// Changes places with the record, and back if that was not the expected one: a program without
    /// locks may come in between to the last moment. None where there is no record or the file
    /// system cannot do this.
    fn exchange(
        &self,
        target: &Target,
        is_expected: impl Fn(&Path) -> Result<bool>,
    ) -> Result<Option<Swap>> {
        let temp = self.temp.path();
        let is_expected = match exchange(temp, &target.path) {
            Ok(()) => is_expected(temp),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_expected = is_expected(&target.path)?;
                return Ok((!is_expected).then_some(Swap::Conflict));
            }
            Err(_) => return Ok(None),
        };
        if !matches!(is_expected, Ok(true)) {
            // Fails only if there is no record any more, and then there is to be none.
            drop(exchange(temp, &target.path));
        }
        is_expected.map(|yes| Some(if yes { Swap::Done } else { Swap::Conflict }))
    }

    fn rename(mut self, target: &Target, content: &[u8]) -> io::Result<Swap> {
        match std::fs::rename(self.temp.path(), &target.path) {
            Ok(()) => {
                // The temp file's name is gone, so there is nothing left to clean up.
                self.temp.disable_cleanup(true);
                Ok(Swap::Done)
            }
            Err(error) if target.existing.is_some() && is_refusal(&error) => {
                in_place::write(&target.path, content).map(|()| Swap::Done)
            }
            // Somebody has cleaned up; the next try makes another one, or says why it cannot.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Swap::Conflict),
            Err(error) => Err(error),
        }
    }
}

/// A new file, of mode 0600 from the first byte. One that is there, or a link, is never opened.
fn temp_file(folder: &Path, random: usize) -> io::Result<NamedTempFile> {
    Builder::new().prefix(PREFIX).suffix(SUFFIX).rand_bytes(random).tempfile_in(folder)
}

/// Removes the temp files of programs that died in the middle of a save. Only under the refresh
/// lock and the commit locks: then no living program has one that it still needs.
pub(crate) fn remove_leftovers(target: &Target) {
    let Ok(entries) = std::fs::read_dir(&target.folder) else { return };
    for entry in entries.flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && is_temp_name(&entry.file_name()) {
            // One that cannot be removed harms nobody.
            std::fs::remove_file(entry.path()).unwrap_or_default();
        }
    }
}

/// Whether a temp file of ours may have this name.
pub(crate) fn is_temp_name(name: &OsStr) -> bool {
    let name = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    name.is_some_and(|random| {
        random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Removes the record; a mount point, which cannot be removed, is emptied.
pub(super) fn remove(target: &Target) -> Result<()> {
    let remove = || match std::fs::remove_file(&target.path) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            in_place::write(&target.path, b"{}")
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove().map_err(|error| unwritable("remove", &target.path, &error))
}

/// Makes a change of the folder durable.
pub(in crate::storage) fn sync(target: &Target) -> Result<()> {
    sync_folder(&target.folder).map_err(|error| unwritable("write in", &target.folder, &error))
}

/// Lets two files change places, at once.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the folder does not let the file be replaced, whose content may be changed all the same:
/// something is mounted on it, or what the folder allows has changed.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ResourceBusy};
    matches!(error.kind(), CrossesDevices | PermissionDenied | ResourceBusy)
}

/// Makes what was done in `folder` durable, as far as that can be had: it may be unreadable, or on
/// a file system that syncs no folders.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    use std::io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), PermissionDenied | InvalidInput | Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(unix)]
fn keep_stricter_mode(file: &File, model: &std::fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = model.permissions().mode() & 0o600;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn keep_stricter_mode(_file: &File, _model: &std::fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_temp_file_is_never_one_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = folder.path().join(format!("{PREFIX}{SUFFIX}"));
        let plants: [fn(&Path); 3] = [
            |name| std::fs::write(name, "planted").expect("written"),
            |name| symlink("precious", name).expect("linked"),
            |name| symlink("not there", name).expect("linked"),
        ];
        std::fs::write(folder.path().join("precious"), "precious").expect("written");
        for plant in plants {
            plant(&name);
            // Without chance the one name that there is.
            let error = temp_file(folder.path(), 0).expect_err("taken");
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert!(!folder.path().join("not there").exists());
            std::fs::remove_file(&name).expect("still there");
        }
        let precious = std::fs::read_to_string(folder.path().join("precious"));
        assert_eq!(precious.expect("there"), "precious");
        let made = temp_file(folder.path(), RANDOM).expect("a file");
        assert!(made.path().file_name().is_some_and(is_temp_name), "{made:?}");
    }
}
