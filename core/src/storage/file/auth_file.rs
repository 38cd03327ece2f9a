//! `auth.json` itself: what is in it, and putting something else there. Every call here may block.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::auth_dot_json::{AuthDotJson, InvalidRecord};
use crate::error::Result;
use crate::secret::Secret;
use crate::storage::content::{self, version_at, version_of};
use crate::storage::home::{CommitLocks, Home};
use crate::storage::replacement::{self, Replacement};
use crate::storage::target::{Target, is_unlinked};
use crate::storage::{Loaded, Swap, Version, in_place};

/// What the file holds, or what is there instead of a login.
pub(super) type Found = Result<Loaded, Broken>;

/// A content that is no login, and why.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) why: InvalidRecord,
    pub(super) version: Version,
}

impl Broken {
    /// Whether the file has no content at all, as one that was made to be mounted.
    fn is_empty(&self) -> bool {
        self.version == version_of(b"")
    }
}

/// The file, and what is known of it.
#[derive(Debug)]
pub(super) struct AuthFile {
    home: Home,
    /// What was read last, so that an unchanged file is not parsed again.
    parsed: ArcSwapOption<Loaded>,
    /// Whether there was a record, as far as is believed: its absence may be a writer's.
    had_record: AtomicBool,
    /// The temp file that proved readiness, for the commit that follows.
    prepared: ArcSwapOption<Replacement>,
    /// A write that did not get the commit locks.
    put_off: ArcSwapOption<PutOff>,
    /// Whether the user was told that the host has replaced the mounted file.
    told_of_replacement: AtomicBool,
    /// Our own torn write: until another one gets through, the store holds what it held before.
    torn: ArcSwapOption<Torn>,
}

/// A write in place that failed half-way, and what it left.
#[derive(Debug)]
struct Torn {
    left: Version,
    before: Loaded,
}

/// A temp file with a record that is still to be written, and the version that it is to replace. If
/// this process ends before, the next one finds it there.
#[derive(Debug)]
struct PutOff {
    replacement: Replacement,
    base: Version,
}

/// A write that waits for the commit locks.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) target: Target,
    /// None for a removal.
    new: Option<(Replacement, Arc<Secret>)>,
}

impl AuthFile {
    pub(super) fn of(home: Home) -> Self {
        Self {
            home,
            parsed: ArcSwapOption::empty(),
            had_record: AtomicBool::new(false),
            prepared: ArcSwapOption::empty(),
            put_off: ArcSwapOption::empty(),
            told_of_replacement: AtomicBool::new(false),
            torn: ArcSwapOption::empty(),
        }
    }

    /// The file of `home`, in which a record was.
    pub(super) fn with_record(home: Home) -> Self {
        Self { had_record: AtomicBool::new(true), ..Self::of(home) }
    }

    pub(super) const fn home(&self) -> &Home {
        &self.home
    }

    fn path(&self) -> &Path {
        self.home.auth_json()
    }

    /// What the file holds at this moment.
    pub(super) fn read(&self) -> Result<Found> {
        let found = self.parse()?;
        if found.as_ref().is_ok_and(|loaded| loaded.record.is_some()) {
            self.had_record.store(true, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// Whether what was `found` may be another a moment later: half-written, or no record where one
    /// was.
    pub(super) fn is_in_between(&self, found: &Found) -> bool {
        let had_record = self.had_record.load(Ordering::Relaxed);
        found.as_ref().map_or(true, |loaded| loaded.record.is_none() && had_record)
    }

    /// What a file comes to that stays as it was `found`. An empty one that never held a record here
    /// was made to sign in to; where it did, a writer has died that truncates.
    pub(super) fn believe(&self, found: Found) -> Found {
        let found = match found {
            Err(broken) if broken.is_empty() && !self.had_record.load(Ordering::Relaxed) => {
                let loaded = Loaded { record: None, version: broken.version };
                self.parsed.store(Some(Arc::new(loaded.clone())));
                Ok(loaded)
            }
            found => found,
        };
        if found.as_ref().is_ok_and(|loaded| loaded.record.is_none()) {
            self.had_record.store(false, Ordering::Relaxed);
        }
        found
    }

    fn parse(&self) -> Result<Found> {
        let Some(bytes) = content::read(self.path())? else {
            self.home.check()?;
            self.forget_put_off(&Version::absent());
            return Ok(Ok(Loaded::nothing()));
        };
        self.home.note_presence();
        self.warn_if_replaced();
        let version = version_of(&bytes);
        self.forget_put_off(&version);
        if let Some(torn) = self.torn.load().as_deref().filter(|torn| torn.left == version) {
            return Ok(Ok(torn.before.clone()));
        }
        if let Some(parsed) =
            self.parsed.load().as_deref().filter(|parsed| parsed.version == version)
        {
            return Ok(Ok(parsed.clone()));
        }
        Ok(match AuthDotJson::parse(&bytes) {
            Ok(record) => {
                let loaded = Loaded { record: Some(Arc::new(record)), version };
                self.parsed.store(Some(Arc::new(loaded.clone())));
                Ok(loaded)
            }
            Err(why) => Err(Broken { why, version }),
        })
    }

    /// Warns, once, if this is a mounted file that its host has replaced: the login in it works until
    /// its access token ends.
    fn warn_if_replaced(&self) {
        let is_told = self.told_of_replacement.load(Ordering::Relaxed);
        if is_told || !self.path().metadata().is_ok_and(|file| is_unlinked(&file)) {
            return;
        }
        if let Err(error) = self.home.target().and_then(|target| target.check_mount()) {
            self.told_of_replacement.store(true, Ordering::Relaxed);
            tracing::warn!(%error, "the login cannot be refreshed here");
        }
    }

    /// Does whatever a slow disk can hold up, before the commit locks are taken.
    pub(super) fn prepare(&self, content: Option<Arc<Secret>>) -> Result<Write> {
        let prepared = self.prepared.swap(None).and_then(Arc::into_inner);
        let put_off = self.put_off.swap(None).and_then(Arc::into_inner);
        let prepared = put_off.map(|put_off| put_off.replacement).or(prepared);
        self.home.create()?;
        let target = self.home.target()?;
        let new = match content {
            Some(content) => {
                let bytes = content.expose().as_bytes();
                Some((Replacement::filled(&target, bytes, prepared)?, content))
            }
            None => None,
        };
        Ok(Write { target, new })
    }

    /// Keeps the temp file of `write`, which did not get the commit locks, until the record of version
    /// `base` was replaced.
    pub(super) fn put_off(&self, write: Write, base: Version) {
        if let Some((replacement, _)) = write.new {
            self.put_off.store(Some(Arc::new(PutOff { replacement, base })));
        }
    }

    /// Removes what was put off, unless the file still has the `version` that it is to replace.
    fn forget_put_off(&self, version: &Version) {
        if self.put_off.load().as_deref().is_some_and(|put_off| put_off.base != *version) {
            drop(self.put_off.swap(None));
        }
    }

    /// Puts `write` in the place of a record of version `expected`, under the commit `locks`.
    pub(super) fn put(&self, write: Write, expected: &Version, locks: CommitLocks) -> Result<Swap> {
        let target = write.target;
        if self.home.target()?.path != target.path {
            // A link was moved meanwhile: what is read now is another file than what is written.
            return Ok(Swap::Conflict);
        }
        let found = match self.read()? {
            Ok(found) if found.version == *expected => found,
            Err(broken) if broken.version == *expected => {
                replacement::keep_broken(&target)?;
                Loaded { record: None, version: broken.version }
            }
            _ => return Ok(Swap::Conflict),
        };
        let is_expected = |path: &Path| Ok(version_at(path)? == *expected);
        let swap = match write.new {
            Some((replacement, content)) => {
                replacement.put(&target, content.expose().as_bytes(), is_expected)
            }
            None => self.remove_now(&target).map(|()| Swap::Done),
        };
        if swap.is_err() {
            self.remember_if_torn(found);
        }
        drop(locks.take());
        if matches!(swap, Ok(Swap::Done)) {
            replacement::sync(&target);
        }
        swap
    }

    /// Removes the file, under the commit locks of `target`; what is no login is kept beside it.
    pub(super) fn remove(&self, target: &Target) -> Result<()> {
        if self.read()?.is_err() {
            replacement::keep_broken(target)?;
        }
        self.remove_now(target)?;
        replacement::sync(target);
        Ok(())
    }

    fn remove_now(&self, target: &Target) -> Result<()> {
        replacement::remove(target)?;
        self.had_record.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn remember_if_torn(&self, before: Loaded) {
        let Ok(Some(bytes)) = content::read(self.path()) else { return };
        if in_place::is_torn(&bytes) {
            self.torn.store(Some(Arc::new(Torn { left: version_of(&bytes), before })));
        }
    }

    /// Proves that `size` bytes can be put at `target`, under the commit `locks`, and keeps the temp
    /// file for that.
    pub(super) fn prove(&self, target: &Target, locks: CommitLocks, size: usize) -> Result<()> {
        let replacement = self.home.prove(target, locks, size)?;
        self.prepared.store(Some(Arc::new(replacement)));
        Ok(())
    }

    /// Removes the temp file that was not needed.
    pub(super) fn discard(&self) {
        drop(self.prepared.swap(None));
    }
}
