//! The locks around `auth.json`: our refresh lock, held across a redemption, and the Codex CLI's
//! two commit locks, held for the milliseconds of a save.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::target::Target;
use super::unwritable;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{LARGEST_LEDGER, Ledger};
use crate::storage::RefreshLock;
use crate::storage::lock_file::LockFile;
use crate::storage::plain_file::{self, Links};

/// The CLI holds its locks for milliseconds; a holder this slow is stuck.
const COMMIT_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the first commit lock is held while the second is busy.
const SECOND_LOCK_PATIENCE: Duration = Duration::from_millis(500);

const REFRESH_LOCK: &str = ".codex-auth-sdk.lock";

/// Both commit locks, in the CLI's order.
#[derive(Debug)]
pub(in crate::storage) struct CommitLocks {
    _second: LockFile,
    _first: LockFile,
}

/// Takes the commit locks, waiting for programs that are saving.
pub(in crate::storage) async fn commit_locks(
    home: &Path,
    target: &Target,
    environment: &Environment,
) -> Result<CommitLocks> {
    let first = home.join("auth.lock");
    let second = with_suffix(&target.path, ".lock");
    let clock = &environment.clock;
    let end = clock.elapsed() + COMMIT_LOCK_TIMEOUT;
    let left = || end.saturating_sub(clock.elapsed());
    while let Some(held) = acquire_within(left(), &first, 0o666, environment).await? {
        let second = acquire_within(SECOND_LOCK_PATIENCE, &second, 0o600, environment).await?;
        if let Some(second) = second {
            return Ok(CommitLocks { _second: second, _first: held });
        }
        drop(held);
        if left().is_zero() {
            break;
        }
        environment.poll_pause(Duration::ZERO).await;
    }
    Err(Error::new(
        ErrorKind::LockTimeout,
        format!(
            "another program has held {} or {} for too long",
            first.display(),
            second.display()
        ),
    ))
}

/// Takes the lock of `path`, if it gets free in time. The last look is after that time: a program
/// that was stopped may not have looked for long.
async fn acquire_within(
    patience: Duration,
    path: &Path,
    mode: u32,
    environment: &Environment,
) -> Result<Option<LockFile>> {
    let clock = &environment.clock;
    let start = clock.elapsed();
    loop {
        let waited = clock.elapsed() - start;
        let lock = try_acquire(path, mode, Links::Followed)?;
        if lock.is_some() || waited >= patience {
            return Ok(lock);
        }
        environment.poll_pause(waited).await;
    }
}

/// The refresh lock: one file in the home, and one in the record's own folder where that is another.
/// The latter is the one of all homes that share the record, so it carries the ledger.
#[derive(Debug)]
pub(super) struct FileRefreshLock {
    // Dropped, so unlocked, in this order.
    with_record: Option<LockFile>,
    in_home: LockFile,
}

impl FileRefreshLock {
    pub(super) fn try_acquire(home: &Path, auth_json: &Path) -> Result<Option<Self>> {
        let paths = LockPaths::of(home, auth_json)?;
        let Some(in_home) = try_acquire(&paths.in_home, 0o600, Links::Refused)? else {
            return Ok(None);
        };
        let Some(path) = paths.with_record else {
            return Ok(Some(Self { with_record: None, in_home }));
        };
        let with_record = try_acquire(&path, 0o600, Links::Refused)?;
        Ok(with_record.map(|lock| Self { with_record: Some(lock), in_home }))
    }

    fn shared(&self) -> &LockFile {
        self.with_record.as_ref().unwrap_or(&self.in_home)
    }
}

impl RefreshLock for FileRefreshLock {
    fn check(&self) -> Result<()> {
        for lock in [Some(&self.in_home), self.with_record.as_ref()].into_iter().flatten() {
            let is_current = lock.is_current();
            if !is_current.map_err(|error| unwritable("lock", lock.path(), &error))? {
                let path = lock.path().display();
                return Err(Error::new(
                    ErrorKind::StoreUnavailable,
                    format!(
                        "{path} was removed while it was held; nothing was redeemed, try again"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn ledger(&self) -> Ledger {
        let file = self.shared().file();
        file.map_or_else(Ledger::default, |file| read(&file))
    }

    fn set_ledger(&self, ledger: &Ledger) -> Result<()> {
        let lock = self.shared();
        let Some(file) = lock.file() else { return Ok(()) };
        write(&file, &ledger.to_bytes()).map_err(|error| unwritable("write", lock.path(), &error))
    }
}

/// What the last holder of the refresh lock left, read without the lock.
pub(in crate::storage) fn read_ledger(home: &Path, auth_json: &Path) -> Ledger {
    let open =
        |path: PathBuf| plain_file::open(&path, OpenOptions::new().read(true), Links::Refused).ok();
    let file = LockPaths::of(home, auth_json)
        .ok()
        .and_then(|paths| open(paths.with_record.unwrap_or(paths.in_home)));
    file.map_or_else(Ledger::default, |file| read(&file))
}

struct LockPaths {
    in_home: PathBuf,
    with_record: Option<PathBuf>,
}

impl LockPaths {
    fn of(home: &Path, auth_json: &Path) -> Result<Self> {
        let target = Target::resolve(auth_json)?;
        Ok(Self {
            in_home: home.join(REFRESH_LOCK),
            with_record: (target.folder != home).then(|| target.folder.join(REFRESH_LOCK)),
        })
    }
}

fn try_acquire(path: &Path, mode: u32, links: Links) -> Result<Option<LockFile>> {
    LockFile::try_acquire(path, mode, links).map_err(|error| unwritable("lock", path, &error))
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Reads the ledger; again where a writer seems to be in the middle of it.
fn read(file: &File) -> Ledger {
    let mut bytes = [0; LARGEST_LEDGER];
    for _ in 0..3 {
        let read = read_at_start(file, &mut bytes).unwrap_or_default();
        if let Some(ledger) = Ledger::from_bytes(&bytes[..read]) {
            return ledger;
        }
        if read == 0 {
            break;
        }
    }
    Ledger::default()
}

/// Writes the ledger, unless the lock's file is also another one: it may have been linked here.
fn write(file: &File, bytes: &[u8]) -> io::Result<()> {
    if plain_file::has_other_names(&file.metadata()?) {
        return Err(io::Error::other("it has another name (a hard link)"));
    }
    write_at_start(file, bytes)?;
    file.set_len(bytes.len() as u64)
}

#[cfg(unix)]
fn read_at_start(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, 0)
}

#[cfg(unix)]
fn write_at_start(file: &File, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(windows)]
fn read_at_start(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, 0)
}

#[cfg(windows)]
fn write_at_start(file: &File, bytes: &[u8]) -> io::Result<()> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, 0).map(drop)
}
