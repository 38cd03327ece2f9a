//! Whose a new file is: that of the file it replaces, else of its folder, so that a root container
//! does not lock its host's user out.

use std::fs::{File, Metadata};
use std::io;

/// Gives `file` the owner and group of `model`.
///
/// # Errors
///
/// Where they differ and this process may not change them.
#[cfg(unix)]
pub(crate) fn follow(file: &File, model: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let own = file.metadata()?;
    let uid = (own.uid() != model.uid()).then(|| model.uid());
    let gid = (own.gid() != model.gid()).then(|| model.gid());
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchown(file, uid, gid)
}

#[cfg(not(unix))]
pub(crate) fn follow(_file: &File, _model: &Metadata) -> io::Result<()> {
    Ok(())
}
