//! Replacing the record: a private temp file beside it, synced, renamed over it. The record is where
//! [`Target`] has found it, behind any link, so links stay as they are.

use std::fs::{File, Metadata};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::file_error::unwritable;
use super::target::Target;
use super::{Swap, busy_file, content, in_place, ownership, temp_file};
use crate::error::Result;
use crate::process::ProcessId;

/// A temp file of the needed size in the record's folder, with the right owner.
#[derive(Debug)]
pub(super) struct Replacement {
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
        let temp = temp_file::create(&target.folder)?;
        let model = match &target.existing {
            Some(existing) => existing.clone(),
            None => target.folder.metadata()?,
        };
        ownership::copy(temp.as_file(), &model)?;
        keep_stricter_mode(temp.as_file(), &model)?;
        let made = Self { temp, process: ProcessId::current() };
        made.share(target);
        Ok(made)
    }

    /// Opens the temp file to the group that shares the record on purpose.
    fn share(&self, target: &Target) {
        let shared = ownership::share(self.temp.as_file(), self.temp.path(), target.sharing);
        if let Err(error) = shared {
            let path = target.path.display();
            tracing::warn!(%error, %path, "the group that shares the login can no longer read it");
        }
    }

    /// Whether this process made it: a forked child inherits its parent's.
    pub(super) fn is_own(&self) -> bool {
        self.process.is_current()
    }

    /// One that holds `content`, durably: the `prepared` one if it still serves.
    pub(super) fn filled(target: &Target, content: &[u8], prepared: Option<Self>) -> Result<Self> {
        target.check_writable()?;
        let is_usable = |prepared: &Self| {
            prepared.is_own() && prepared.temp.path().parent() == Some(&target.folder)
        };
        let fill = || {
            let mut replacement = match prepared.filter(is_usable) {
                Some(prepared) => {
                    // The record may be open to another group by now, or to none.
                    prepared.share(target);
                    prepared
                }
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
    pub(super) fn put(
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
        match temp_file::put(&mut self.temp, &target.path) {
            Ok(()) => Ok(Swap::Done),
            Err(error) if target.existing.is_some() && is_refusal(&error) => {
                in_place::write(&target.path, content).map(|()| Swap::Done)
            }
            // Another program has cleaned up; the next try makes another one, or says why it cannot.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Swap::Conflict),
            Err(error) => Err(error),
        }
    }
}

/// Copies what is in the place of the record, and is no login, to a file of its own beside it, for its
/// owner only. An empty file is not worth it, and a mount point's folder is not its own.
pub(super) fn keep_broken(target: &Target) -> Result<()> {
    let Some(existing) = target.existing.as_ref().filter(|file| file.len() > 0) else {
        return Ok(());
    };
    if target.is_mount_point() {
        return Ok(());
    }
    let bytes = content::read(&target.path)?.unwrap_or_default();
    let copy = copy_beside(target, existing, &bytes);
    let copy = copy.map_err(|error| unwritable("write in", &target.folder, &error))?;
    tracing::warn!(
        path = %target.path.display(),
        copy = %copy.display(),
        "the file holds no login, and gives way to what the user asked for; a copy is kept"
    );
    Ok(())
}

fn copy_beside(target: &Target, existing: &Metadata, bytes: &[u8]) -> io::Result<PathBuf> {
    let name = target.path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{name}.broken-");
    let mut copy = temp_file::private(Builder::new().prefix(&prefix), &target.folder)?;
    // Best effort: the copy is there either way.
    ownership::copy(copy.as_file(), existing).unwrap_or_default();
    copy.write_all(bytes)?;
    copy.as_file().sync_all()?;
    let (_, path) = copy.keep().map_err(|error| error.error)?;
    Ok(path)
}

/// Removes the record; a mount point, which cannot be removed, is emptied.
pub(super) fn remove(target: &Target) -> Result<()> {
    let remove = || match busy_file::wait_to_replace(|| std::fs::remove_file(&target.path)) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            in_place::write(&target.path, b"{}")
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove().map_err(|error| unwritable("remove", &target.path, &error))
}

/// Makes a change in the folder of `target` durable. What was renamed is stored: where only this
/// fails, it is said, and no failure of the change.
pub(super) fn sync(target: &Target) -> bool {
    let synced = temp_file::sync_folder(&target.folder);
    if let Err(error) = &synced {
        let folder = target.folder.display();
        tracing::warn!(%error, %folder, "a change of the login is made, and may not outlast a power cut");
    }
    synced.is_ok()
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
/// something is mounted on it, what the folder allows has changed, or another program has it open.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ResourceBusy};
    matches!(error.kind(), CrossesDevices | PermissionDenied | ResourceBusy)
        || busy_file::is_held(error)
}

/// Takes from `file` what the owner of `model` may not do either. A file system that refuses modes,
/// or has none, decides itself, unless that would open what was closed.
#[cfg(unix)]
fn keep_stricter_mode(file: &File, model: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (mode, wanted) = (file.metadata()?.mode() & 0o777, model.mode() & 0o600);
    if mode == wanted {
        return Ok(());
    }
    match file.set_permissions(std::fs::Permissions::from_mode(wanted)) {
        Err(_) if mode & !model.mode() == 0 => Ok(()),
        set => set,
    }
}

#[cfg(not(unix))]
fn keep_stricter_mode(_file: &File, _model: &Metadata) -> io::Result<()> {
    Ok(())
}
