//! Whose a new file is: that of the file it replaces, else of its folder, so that a root container
//! does not lock its host's user out. And how far a lock file is open to others.

use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::path::Path;

#[cfg(unix)]
use crate::process::file_id;

/// Gives `file` the owner of `model`, and its group where this process may: the file is its owner's
/// alone, so that another group takes nothing from any user.
///
/// # Errors
///
/// Where the owners differ and this process may not change them.
#[cfg(unix)]
pub(crate) fn copy(file: &File, model: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let own = file.metadata()?;
    if own.gid() != model.gid() {
        fchown(file, None, Some(model.gid())).unwrap_or_default();
    }
    if own.uid() == model.uid() {
        return Ok(());
    }
    fchown(file, Some(model.uid()), None)
}

#[cfg(not(unix))]
pub(crate) fn copy(_file: &File, _model: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Takes all permissions beyond `widest` from `file`, which is at `path`. A file of another owner is
/// left alone, and so is one that has a second name or is behind a link: it may be no file of ours.
///
/// # Errors
///
/// Where this process may not change them.
#[cfg(unix)]
pub(crate) fn narrow(file: &File, path: &Path, widest: u32) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let found = file.metadata()?;
    let mode = found.mode() & 0o777;
    let is_ours = || found.uid() == rustix::process::geteuid().as_raw() && found.nlink() == 1;
    if mode & !widest == 0 || !is_ours() || file_id(&path.symlink_metadata()?) != file_id(&found) {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode & widest))
}

#[cfg(not(unix))]
pub(crate) fn narrow(_file: &File, _path: &Path, _widest: u32) -> io::Result<()> {
    Ok(())
}

/// Makes `folder`, and the folders that it is in, for their owners only. The owner of each is that of
/// the folder that it is made in. One that is there stays as it is.
///
/// # Errors
///
/// Where one cannot be made, or something else is in its place.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    match folder.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let Some(parent) = folder.parent() else { return Err(io::ErrorKind::NotFound.into()) };
    make_folder(parent)?;
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Ok(()) if cfg!(unix) => copy(&File::open(folder)?, &parent.metadata()?),
        // Another program was faster.
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    }
}
