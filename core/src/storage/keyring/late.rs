//! A write that the keyring answers late, when the commit locks have been given back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::KeyringStorage;
use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;
use crate::secret::Secret;
use crate::storage::Version;
use crate::storage::file::{Target, commit_locks, version_of};

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
struct UnderWay(Arc<Mutex<State>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.0).write = None;
    }
}

impl Writing {
    /// The item was read by somebody who holds no locks.
    pub(super) fn saw(&self, value: Option<&Secret>) {
        let state = self.state();
        if let Some(write) = &mut lock(&state).write {
            let version = Some(version(value));
            if version != write.before && version.as_ref() != Some(&write.wrote) {
                write.newer = Some(value.cloned());
            }
        }
    }

    fn begin(&self, wrote: Version) -> Result<UnderWay> {
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

impl State {
    /// One write at a time: whatever is compared must not change by an older write of our own.
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

impl KeyringStorage {
    /// The version of what the item holds. For holders of the commit locks.
    pub(in crate::storage) async fn version_under_locks(&self) -> Result<Version> {
        let state = self.writing.state();
        lock(&state).check()?;
        let found = self.keyring.get_under_locks(&self.item).await?;
        let version = version(found.as_ref());
        lock(&state).compared = Some(version.clone());
        Ok(version)
    }

    /// Writes or removes the item, whose version was compared. For holders of the commit locks. A
    /// write that is not answered in time goes on without them; until it ends there is no other.
    pub(in crate::storage) async fn replace_under_locks(
        &self,
        record: Option<&AuthDotJson>,
    ) -> Result<()> {
        let value = record.map(AuthDotJson::to_json);
        if let Some(value) = &value {
            self.keyring.check_length(value.expose().len())?;
        }
        let under_way = self.writing.begin(version(value.as_ref()))?;
        let (sender, receiver) = oneshot::channel();
        let store = self.clone();
        let write = async move {
            let answer = store.keyring.write(&store.item, value.as_ref()).await;
            if sender.is_closed() {
                store.look_again(&under_way).await;
            }
            drop(under_way);
            // Nobody listens to an answer that came too late.
            drop(sender.send(answer));
        };
        self.environment.spawner.spawn(Box::pin(write)).map_err(|error| unanswered(&error))?;
        let answer = async { receiver.await.unwrap_or_else(|error| Err(unanswered(&error))) };
        self.keyring.within_locks(answer).await
    }

    /// Looks at the item after a write that ended late.
    async fn look_again(&self, under_way: &UnderWay) {
        if let Err(error) = self.put_back(under_way).await {
            tracing::warn!(%error, "a newer login in the keyring may have been overwritten");
        }
    }

    /// Puts back what another program had stored, where the late write has overwritten it.
    async fn put_back(&self, under_way: &UnderWay) -> Result<()> {
        let target = Target::resolve(&self.path)?;
        let _locks = commit_locks(&self.home, &target, &self.environment).await?;
        let found = self.keyring.get_under_locks(&self.item).await?;
        let found = version(found.as_ref());
        let overwritten = lock(&under_way.0)
            .write
            .as_ref()
            .filter(|write| write.wrote == found)
            .and_then(|write| write.newer.clone());
        let Some(newer) = overwritten else { return Ok(()) };
        tracing::warn!("a late write came over a newer login in the keyring; putting that back");
        self.keyring.within_locks(self.keyring.write(&self.item, newer.as_ref())).await
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn version(value: Option<&Secret>) -> Version {
    value.map_or(Version::absent(), |value| version_of(value.expose().as_bytes()))
}

fn unanswered(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::KeyringUnavailable, format!("the keyring was not written: {cause}"))
}
