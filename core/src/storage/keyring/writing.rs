//! A write that the keyring answers late, when the commit locks have been given back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;
use crate::secret::Secret;
use crate::storage::Version;
use crate::storage::content::version_of;

/// The write that is under way, of all clones of a store in this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Writing(Arc<PerProcess<Mutex<State>>>);

#[derive(Debug, Default)]
struct State {
    /// What the item held when it was last compared.
    compared: Option<Version>,
    write: Option<Write>,
}

#[derive(Debug)]
struct Write {
    before: Option<Version>,
    wrote: Version,
    /// What another program was seen to have put there since the write began.
    newer: Option<Option<Secret>>,
}

/// A write that is under way until this is dropped.
pub(super) struct UnderWay(Arc<Mutex<State>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.0).write = None;
    }
}

impl Writing {
    /// The item was read by a caller that holds no locks.
    pub(super) fn saw(&self, value: Option<&Secret>) {
        let state = self.state();
        if let Some(write) = &mut lock(&state).write {
            let version = Some(version(value));
            if version != write.before && version.as_ref() != Some(&write.wrote) {
                write.newer = Some(value.cloned());
            }
        }
    }

    /// Fails while a write is under way: what is compared must not change by an older write of our
    /// own.
    pub(super) fn check(&self) -> Result<()> {
        lock(&self.state()).check()
    }

    /// The item was found to hold `version`, to be replaced next.
    pub(super) fn compared(&self, version: &Version) {
        lock(&self.state()).compared = Some(version.clone());
    }

    /// Begins a write, unless one is under way.
    pub(super) fn begin(&self, wrote: Version) -> Result<UnderWay> {
        let state = self.state();
        let mut locked = lock(&state);
        locked.check()?;
        let before = locked.compared.take();
        locked.write = Some(Write { before, wrote, newer: None });
        drop(locked);
        Ok(UnderWay(state))
    }

    fn state(&self) -> Arc<Mutex<State>> {
        self.0.get_or_default()
    }
}

impl UnderWay {
    /// What another program had stored, if the item holds what this write wrote, as `found`, in its
    /// place.
    pub(super) fn overwritten(&self, found: &Version) -> Option<Option<Secret>> {
        let state = lock(&self.0);
        state.write.as_ref().filter(|write| write.wrote == *found)?.newer.clone()
    }
}

impl State {
    fn check(&self) -> Result<()> {
        match self.write {
            None => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::KeyringUnavailable,
                "the keyring has not answered an earlier write yet; try again",
            )),
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The version of an item that holds `value`.
pub(super) fn version(value: Option<&Secret>) -> Version {
    value.map_or(Version::absent(), |value| version_of(value.expose().as_bytes()))
}
