//! The file in which holders of the refresh lock tell each other about tokens. It names tokens by
//! fingerprint and holds no secret.
//!
//! It is a file of its own: a new one takes the place of the old one as a whole, so that programs that
//! read it without the lock see the one or the other.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::ledger::{LARGEST_LEDGER, Ledger};
use crate::storage::file_error::unwritable;
use crate::storage::ownership::{self, Sharing};
use crate::storage::plain_file::{self, Links};
use crate::storage::temp_file;

const NAME: &str = ".codex-auth-sdk.json";

/// The file of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LedgerFile {
    folder: PathBuf,
}

impl LedgerFile {
    /// The one in `folder`.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// What the last holder left. What cannot be read is empty: everything in it can be learned
    /// again.
    pub(super) fn read(&self) -> Ledger {
        let bytes = plain_file::read(&self.path(), LARGEST_LEDGER as u64, Links::Refused).ok();
        bytes.and_then(|bytes| Ledger::from_bytes(&bytes)).unwrap_or_default()
    }

    /// Leaves `ledger` for the next holder, durably, who may be another member of the group of
    /// `sharing`. A second try, since one failure may be a passing one. For holders of the refresh
    /// lock.
    pub(super) fn write(&self, ledger: &Ledger, sharing: Sharing) -> Result<()> {
        let bytes = ledger.to_bytes();
        let replace = || self.replace(&bytes, sharing);
        let written = replace().or_else(|_| replace());
        written.map_err(|error| unwritable("write", &self.path(), &error))
    }

    fn replace(&self, bytes: &[u8], sharing: Sharing) -> io::Result<()> {
        let mut temp = temp_file::create(&self.folder)?;
        // Best effort: what its next reader may not read is empty to it.
        ownership::copy(temp.as_file(), &self.folder.metadata()?).unwrap_or_default();
        ownership::share(temp.as_file(), temp.path(), sharing).unwrap_or_default();
        temp.write_all(bytes)?;
        temp.as_file().sync_all()?;
        temp_file::put(&mut temp, &self.path())?;
        temp_file::sync_folder(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Fingerprint;

    #[test]
    fn what_was_written_is_read_and_anything_else_is_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = LedgerFile::in_folder(folder.path());
        assert_eq!(file.read(), Ledger::default());
        let mut ledger = Ledger::default();
        let [old, new] = ["old", "new"].map(|token| Fingerprint::of(token.as_bytes()));
        ledger.rotate(old, new);
        file.write(&ledger, Sharing::default()).expect("written");
        assert_eq!(file.read(), ledger);
        let names = std::fs::read_dir(folder.path()).expect("listed").flatten();
        assert_eq!(names.map(|entry| entry.file_name()).collect::<Vec<_>>(), [NAME]);
        let whole = std::fs::read(folder.path().join(NAME)).expect("there");
        for odd in [&whole[..whole.len() / 2], b"", &vec![b' '; LARGEST_LEDGER + 1]] {
            std::fs::write(folder.path().join(NAME), odd).expect("written");
            assert_eq!(file.read(), Ledger::default());
        }
    }

    #[test]
    fn a_reader_sees_one_ledger_or_the_other_and_never_half_of_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = LedgerFile::in_folder(folder.path());
        let ledgers = [1, 30].map(|rotations| {
            let mut ledger = Ledger::default();
            for token in 0..rotations {
                let [old, new] = [token, token + 1].map(|name| Fingerprint::of(&[name]));
                ledger.rotate(old, new);
            }
            ledger
        });
        file.write(&ledgers[0], Sharing::default()).expect("written");
        let reading = std::thread::spawn({
            let (file, ledgers) = (file.clone(), ledgers.clone());
            move || (0..2000).all(|_| ledgers.contains(&file.read()))
        });
        for ledger in ledgers.iter().cycle() {
            if reading.is_finished() {
                break;
            }
            file.write(ledger, Sharing::default()).expect("written");
        }
        assert!(reading.join().expect("no panic"));
    }

    #[cfg(unix)]
    #[test]
    fn what_was_planted_in_its_place_is_replaced_and_not_written_through() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let precious = tempfile::NamedTempFile::new_in(folder.path()).expect("a file");
        let (file, path) = (LedgerFile::in_folder(folder.path()), folder.path().join(NAME));
        for plant in [
            |to: &Path, path: &Path| symlink(to, path).expect("linked"),
            |to: &Path, path: &Path| std::fs::hard_link(to, path).expect("linked"),
        ] {
            plant(precious.path(), &path);
            assert_eq!(file.read(), Ledger::default());
            file.write(&Ledger::default(), Sharing::default()).expect("written");
            assert_eq!(precious.path().metadata().expect("there").len(), 0);
            let found = path.symlink_metadata().expect("there");
            assert!(found.is_file() && found.nlink() == 1 && found.mode() & 0o777 == 0o600);
            std::fs::remove_file(&path).expect("removed");
        }
    }
}
