//! `auth.json` itself: what is in it, and putting something else there. Every call here may block.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::auth_dot_json::{AuthDotJson, InvalidRecord};
use crate::error::Result;
use crate::secret::Secret;
use crate::storage::content::{self, version_at, version_of};
use crate::storage::home::{CommitLocks, Home};
use crate::storage::replacement::{self, Replacement};
use crate::storage::target::Target;
use crate::storage::{Loaded, Swap, Version, in_place};

/// What the file holds, or why that is no login.
pub(super) type Found = Result<Loaded, InvalidRecord>;

/// The file, and what is known of it.
#[derive(Debug)]
pub(super) struct AuthFile {
    home: Home,
    /// The last record read, so that an unchanged file is not parsed again.
    parsed: ArcSwapOption<Loaded>,
    /// The temp file that proved readiness, for the commit that follows.
    prepared: ArcSwapOption<Replacement>,
    /// A write that did not get the commit locks.
    put_off: ArcSwapOption<PutOff>,
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
            prepared: ArcSwapOption::empty(),
            put_off: ArcSwapOption::empty(),
            torn: ArcSwapOption::empty(),
        }
    }

    pub(super) const fn home(&self) -> &Home {
        &self.home
    }

    fn path(&self) -> &Path {
        self.home.auth_json()
    }

    pub(super) fn read(&self) -> Result<Found> {
        let Some(bytes) = content::read(self.path())? else {
            self.home.check()?;
            self.forget_put_off(&Version::absent());
            return Ok(Ok(Loaded::nothing()));
        };
        self.home.note_presence();
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
        Ok(AuthDotJson::parse(&bytes).map(|record| {
            let loaded = Loaded { record: Some(Arc::new(record)), version };
            self.parsed.store(Some(Arc::new(loaded.clone())));
            loaded
        }))
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
        let found = self.read()?.ok().filter(|found| found.version == *expected);
        let Some(found) = found else { return Ok(Swap::Conflict) };
        let target = write.target;
        let is_expected = |path: &Path| Ok(version_at(path)? == *expected);
        let swap = match write.new {
            Some((replacement, content)) => {
                replacement.put(&target, content.expose().as_bytes(), is_expected)
            }
            None => replacement::remove(&target).map(|()| Swap::Done),
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
