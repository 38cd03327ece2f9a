//! Opening files in a folder that other users may write to. What they plant there must not make this
//! crate wait for ever (a pipe), read without an end (a device), or write somewhere else (a link).

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::busy_file;

/// What a symbolic link in the place of a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// The file that it leads to.
    Followed,
    /// A file that only this crate creates, and never as a link.
    Refused,
}

/// Opens `path` at once, whatever it is.
///
/// # Errors
///
/// `InvalidInput` where it is not a plain file, with a text that says what it is.
pub(crate) fn open(path: &Path, options: &mut OpenOptions, links: Links) -> io::Result<File> {
    open_measured(path, options, links).map(|(file, _)| file)
}

/// Opens `path` as [`open`] does, and tells its size.
fn open_measured(path: &Path, options: &mut OpenOptions, links: Links) -> io::Result<(File, u64)> {
    set_flags(options, links);
    let file = busy_file::wait(|| options.open(path)).map_err(|error| match links {
        Links::Followed => explain(error, path.metadata()),
        Links::Refused => explain(error, path.symlink_metadata()),
    })?;
    let found = file.metadata()?;
    refuse_odd(&found)?;
    Ok((file, found.len()))
}

/// Creates the file `path` with `options`, for its owner only. A link is there, also one that leads
/// nowhere: where it leads, no file is made.
pub(crate) fn create(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// The content of the plain file at `path`.
///
/// # Errors
///
/// Those of [`open`]; `FileTooLarge` beyond `most` bytes, which are not read then.
pub(crate) fn read(path: &Path, most: u64, links: Links) -> io::Result<Zeroizing<Vec<u8>>> {
    let (file, size) = open_measured(path, OpenOptions::new().read(true), links)?;
    content(file, size, most)
}

/// The content of the open `file`, whose size was found to be `size`.
///
/// # Errors
///
/// `FileTooLarge` beyond `most` bytes, which are not read then.
pub(crate) fn content(file: File, size: u64, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if size <= most {
        // One byte more than needed spares the read that finds the end.
        bytes.reserve_exact(size as usize + 1);
        file.take(most + 1).read_to_end(&mut bytes)?;
    }
    if size > most || bytes.len() as u64 > most {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(bytes)
}

/// The error about a symbolic link.
pub(crate) fn is_link() -> io::Error {
    odd("it is a symbolic link")
}

/// `error`, unless what was found instead of a plain file says more.
fn explain(error: io::Error, found: io::Result<Metadata>) -> io::Error {
    found.and_then(|found| refuse_odd(&found)).err().filter(is_odd).unwrap_or(error)
}

fn refuse_odd(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        Ok(())
    } else if found.is_symlink() {
        Err(is_link())
    } else if found.is_dir() {
        Err(odd("it is a folder"))
    } else {
        Err(odd("it is not a file but a pipe, a socket or a device"))
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn is_odd(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

#[cfg(unix)]
fn set_flags(options: &mut OpenOptions, links: Links) {
    use rustix::fs::OFlags;
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, links == Links::Refused);
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits().cast_signed());
}

#[cfg(not(unix))]
fn set_flags(_options: &mut OpenOptions, _links: Links) {}
