//! The Codex CLI's two commit locks, held for the milliseconds of a save.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::file_calls::{FileCalls, Kept};
use crate::storage::file_error::unwritable;
use crate::storage::lock_file::LockFile;
use crate::storage::lock_holder;
use crate::storage::ownership::Sharing;
use crate::storage::plain_file::Links;
use crate::storage::target::Target;

/// The CLI holds its locks for milliseconds; a holder this slow is stuck.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the first lock is held while the second is busy.
const SECOND_LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// Both locks, in the order in which they are given back.
pub(in crate::storage) type CommitLocks = Kept<[LockFile; 2]>;

/// A lock that is waited for.
#[derive(Debug, Clone)]
struct Wanted {
    path: PathBuf,
    sharing: Sharing,
}

/// Returns the files of the commit locks of `target` in `home`, in the CLI's order.
pub(super) fn files(home: &Path, target: &Target) -> [PathBuf; 2] {
    [home.join("auth.lock"), with_suffix(&target.path, ".lock")]
}

/// Takes the commit locks of `target` in `home`, in the CLI's order.
pub(super) async fn acquire(
    home: &Path,
    target: &Target,
    calls: &FileCalls,
    environment: &Environment,
) -> Result<CommitLocks> {
    let [first, second] = files(home, target).map(|path| Wanted { path, sharing: target.sharing });
    let clock = &environment.clock;
    let end = clock.elapsed() + LOCK_TIMEOUT;
    let left = || end.saturating_sub(clock.elapsed());
    let busy = loop {
        let Some(held) = first.acquire_within(left(), calls, environment).await? else {
            break first.path;
        };
        let other = second.acquire_within(SECOND_LOCK_PATIENCE, calls, environment).await?;
        if let Some(other) = other {
            return Ok(calls.keep([other.take(), held.take()]));
        }
        drop(held);
        if left().is_zero() {
            break second.path;
        }
        environment.poll_pause(Duration::ZERO).await;
    };
    calls.make(move || Err(held_too_long(&busy))).await
}

fn held_too_long(path: &Path) -> Error {
    let (holder, path) = (lock_holder::name(path), path.display());
    let message = format!(
        "{holder} has held the lock {path} for over {LOCK_TIMEOUT:?}; end it, or find out what it \
         waits for"
    );
    Error::new(ErrorKind::LockTimeout, message)
}

impl Wanted {
    /// Takes the lock, if it gets free in time. The last look is after that time: a program that was
    /// stopped may not have looked for long.
    async fn acquire_within(
        &self,
        patience: Duration,
        calls: &FileCalls,
        environment: &Environment,
    ) -> Result<Option<Kept<LockFile>>> {
        let clock = &environment.clock;
        let start = clock.elapsed();
        loop {
            let waited = clock.elapsed() - start;
            let (wanted, keep) = (self.clone(), calls.clone());
            let lock = calls.make(move || Ok(wanted.try_acquire()?.map(|lock| keep.keep(lock))));
            let lock = lock.await?;
            if lock.is_some() || waited >= patience {
                return Ok(lock);
            }
            environment.poll_pause(waited).await;
        }
    }

    fn try_acquire(&self) -> Result<Option<LockFile>> {
        LockFile::try_acquire(&self.path, self.sharing, Links::Followed)
            .map_err(|error| unwritable("lock", &self.path, &error))
    }
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
