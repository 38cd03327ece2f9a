//! Writing the record where it is, as at a mount point, which cannot be replaced. The file is whole
//! before and after; in between it is no JSON at all, so that no reader takes a mixture for a login.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use zeroize::Zeroizing;

use super::plain_file::{self, Links};
use super::target::Target;
use crate::auth_dot_json::AuthDotJson;

/// In the place of a record's first brace while the rest is being written.
const BLANK: &[u8] = b" ";

/// Proves that the record may be written, and that a mounted one may grow to `size`.
pub(super) fn prove(target: &Target, size: usize) -> io::Result<()> {
    let mut file = open(&target.path)?;
    if target.is_mount_point() {
        let length = file.metadata()?.len();
        let grown = grow(&mut file, size as u64);
        file.set_len(length)?;
        grown?;
    }
    Ok(())
}

/// Makes `content` the record. A second try spares readers the torn file that one error leaves.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    try_write(path, content).or_else(|_| try_write(path, content))
}

/// Returns whether `bytes` are what an interrupted [`write`] leaves, and nothing else does.
pub(super) fn is_torn(bytes: &[u8]) -> bool {
    bytes.starts_with(BLANK) && AuthDotJson::parse(bytes).is_err()
}

fn try_write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    // A disk that is full shows while the old record is still whole.
    if let Err(error) = grow(&mut file, content.len() as u64) {
        // Spaces that stay behind it are no part of it.
        file.set_len(length).unwrap_or_default();
        return Err(error);
    }
    // What is left of a longer record would be torn if the file could not be cut.
    let mut padded = Zeroizing::new(content.to_vec());
    padded.resize(content.len().max(length as usize), b' ');
    for (offset, part) in parts(&padded) {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(part)?;
    }
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

/// What is written of `content`, where and in which order: its first byte last.
fn parts(content: &[u8]) -> [(u64, &[u8]); 3] {
    let (first, rest) = content.split_at(content.len().min(1));
    [(0, BLANK), (1, rest), (0, first)]
}

fn open(path: &Path) -> io::Result<File> {
    plain_file::open(path, OpenOptions::new().write(true), Links::Refused)
}

/// Appends spaces until `file` has `size` bytes.
fn grow(file: &mut File, size: u64) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let missing = size.saturating_sub(length);
    if missing > 0 {
        file.write_all(&vec![b' '; missing as usize])?;
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_a_write_that_stops_at_any_byte_leaves_the_old_record_the_new_one_or_no_login() {
        let [old, new] = ["old", "new"].map(|token| {
            format!(
                r#"{{"tokens": {{"access_token": "{token}-a", "refresh_token": "{token}-r"}}}}"#
            )
        });
        let written: Vec<_> = parts(new.as_bytes())
            .into_iter()
            .flat_map(|(offset, part)| (offset as usize..).zip(part.iter().copied()))
            .collect();
        for stop in 0..=written.len() {
            let mut file = old.clone().into_bytes();
            for (place, byte) in &written[..stop] {
                file[*place] = *byte;
            }
            let expected = match stop {
                0 => Some(&old),
                _ if stop == written.len() => Some(&new),
                _ => None,
            };
            assert_eq!(is_torn(&file), expected.is_none(), "{stop}");
            assert!(expected.is_none_or(|expected| file == expected.as_bytes()), "{stop}");
        }
    }
}
