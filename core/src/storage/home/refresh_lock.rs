//! The refresh lock, held across a redemption: one file in the home, one in the folder of the resolved
//! `auth.json` where that is another, and `auth.json` itself where the login is in it. Homes that share
//! the record by a link have the second in common, containers that mount the one file only the third.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ledger_file::LedgerFile;
use super::record_lock::RecordLock;
use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::process::file_id;
use crate::storage::RefreshLock;
use crate::storage::file_calls::{FileCalls, Kept};
use crate::storage::file_error::unwritable;
use crate::storage::lock_file::LockFile;
use crate::storage::ownership::Sharing;
use crate::storage::plain_file::Links;
use crate::storage::target::Target;

const NAME: &str = ".codex-auth-sdk.lock";

/// Where the files of the lock are at one moment.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    in_home: PathBuf,
    with_record: Option<PathBuf>,
    ledger: LedgerFile,
}

impl Places {
    fn of(home: &Path, target: &Target) -> Self {
        let is_home = is_same_folder(home, &target.folder);
        Self {
            in_home: home.join(NAME),
            with_record: (!is_home).then(|| target.folder.join(NAME)),
            ledger: LedgerFile::in_folder(&target.folder),
        }
    }
}

/// Returns the files of the lock in `home`, but for `auth.json` itself.
pub(super) fn files(home: &Path, target: &Target) -> impl Iterator<Item = PathBuf> {
    let places = Places::of(home, target);
    [Some(places.in_home), places.with_record].into_iter().flatten()
}

/// Whether two paths lead to one folder: by a link, a mount, or another way to write them. A lock
/// that is taken by both would be waited for by its own holder.
fn is_same_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    let id = |path: &Path| path.metadata().ok().and_then(|found| file_id(&found));
    let is_same_path = real(one).is_some_and(|one| real(other) == Some(one));
    is_same_path || id(one).is_some_and(|one| id(other) == Some(one))
}

/// The files of the lock, all of them locked.
#[derive(Debug)]
pub(super) struct Locks {
    // Dropped, so unlocked, in this order.
    record: Option<RecordLock>,
    with_record: Option<LockFile>,
    in_home: LockFile,
    places: Places,
    home: PathBuf,
    auth_json: PathBuf,
}

impl Locks {
    /// Locks all files, or none; `auth_json` itself where `with_auth_json`.
    pub(super) fn try_acquire(
        home: &Path,
        auth_json: &Path,
        with_auth_json: bool,
    ) -> Result<Option<Self>> {
        let target = Target::resolve(auth_json)?;
        let places = Places::of(home, &target);
        let sharing = target.sharing;
        let Some(in_home) = try_acquire(&places.in_home, sharing)? else { return Ok(None) };
        let with_record = match &places.with_record {
            Some(path) => match try_acquire(path, sharing)? {
                Some(lock) => Some(lock),
                None => return Ok(None),
            },
            None => None,
        };
        let record = with_auth_json.then(RecordLock::default);
        if let Some(record) = &record
            && !record.follow(&target.path)?
        {
            return Ok(None);
        }
        let (home, auth_json) = (home.to_owned(), auth_json.to_owned());
        Ok(Some(Self { record, with_record, in_home, places, home, auth_json }))
    }

    /// Whether this process holds them: a forked child inherits them, and does not.
    pub(super) fn is_own(&self) -> bool {
        self.in_home.is_own()
    }

    pub(super) fn ledger(&self) -> &LedgerFile {
        &self.places.ledger
    }

    fn write_ledger(&self, ledger: &Ledger) -> Result<()> {
        let file = &self.places.ledger;
        // The record may be gone, or have been moved, by now.
        let target = Target::resolve(&self.auth_json).ok();
        let target = target.filter(|target| target.folder == file.folder());
        file.write(ledger, target.map(|target| target.sharing).unwrap_or_default())
    }

    /// Fails where others would lock other files by now.
    fn check(&self) -> Result<()> {
        for lock in [Some(&self.in_home), self.with_record.as_ref()].into_iter().flatten() {
            let is_current = lock.is_current();
            if !is_current.map_err(|error| unwritable("lock", lock.path(), &error))? {
                return Err(lost(lock.path(), "was removed"));
            }
        }
        let target = Target::resolve(&self.auth_json)?;
        if Places::of(&self.home, &target) != self.places {
            let how = "ceased to be the lock of auth.json, which was moved,";
            return Err(lost(&self.places.in_home, how));
        }
        if let Some(record) = &self.record {
            target.check_mount()?;
            if record.follow(&target.path)? {
                return Ok(());
            }
            let how = "was replaced by a file that another program has locked,";
            return Err(lost(&target.path, how));
        }
        Ok(())
    }
}

fn lost(path: &Path, how: &str) -> Error {
    let path = path.display();
    let message =
        format!("{path} {how} while it was held; nothing is redeemed without it, try again");
    Error::new(ErrorKind::StoreUnavailable, message)
}

fn try_acquire(path: &Path, sharing: Sharing) -> Result<Option<LockFile>> {
    LockFile::try_acquire(path, sharing, Links::Refused)
        .map_err(|error| unwritable("lock", path, &error))
}

/// The lock as its holder has it.
#[derive(Debug)]
pub(super) struct HeldLock {
    locks: Kept<Arc<Locks>>,
    calls: FileCalls,
}

impl HeldLock {
    pub(super) fn new(locks: Kept<Arc<Locks>>, calls: &FileCalls) -> Self {
        Self { locks, calls: calls.clone() }
    }

    /// What `call` on the files of the lock comes to.
    fn make<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Locks) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let locks = Arc::clone(&self.locks);
        self.calls.make_now(move || call(&locks))
    }
}

impl RefreshLock for HeldLock {
    fn check(&self) -> Result<()> {
        self.make(Locks::check)
    }

    fn ledger(&self) -> Ledger {
        self.make(|locks| Ok(locks.ledger().read())).unwrap_or_default()
    }

    fn set_ledger<'a>(&'a self, ledger: &'a Ledger) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let ledger = ledger.clone();
            self.make(move |locks| locks.write_ledger(&ledger))
        })
    }
}
