//! The store of one simulated process: the steps of `FileStorage` on the simulated folder, or
//! those of a store that must be asked and has no mark to look at, as a keyring has not.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use codex_auth_sdk::environment::BoxFuture;
use codex_auth_sdk::storage::{
    AuthDotJson, AuthStorage, Ledger, Loaded, Readiness, RefreshLock, Stamp, Swap, Version,
};
use codex_auth_sdk::{Error, ErrorKind, Result};

use super::disk::{Hold, Lock};
use super::executor::ProcessId;
use super::ledger::Client;
use super::record::Content;
use super::world::World;

/// As `FileStorage`.
const TORN_FOR: Duration = Duration::from_secs(1);
const COMMIT_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Storage {
    pub(super) world: Arc<World>,
    pub(super) process: ProcessId,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Storage {
    /// Reads the file once; none where it holds no JSON.
    fn read(&self) -> Option<Loaded> {
        let mut state = self.world.state();
        state.disk.reads += 1;
        let Some(content) = state.disk.content() else {
            return Some(Loaded::new(None, Version::absent()));
        };
        let record = content.parsed.as_ref().ok()?;
        Some(Loaded::new(Some(Arc::clone(record)), content.version.clone()))
    }

    async fn read_patiently(&self) -> Result<Loaded> {
        self.fault("load")?;
        let end = self.world.executor.now() + TORN_FOR;
        loop {
            let loaded = self.read();
            if self.world.hazards.is_asked {
                // What was read is a little old when it arrives.
                self.world.pause(1, 30).await;
            }
            if let Some(loaded) = loaded {
                return Ok(loaded);
            }
            if self.world.executor.now() >= end {
                return Err(Error::new(ErrorKind::StoreCorrupt, "half-written for good"));
            }
            self.world.pause(5, 20).await;
        }
    }

    async fn swap(&self, expected: &Version, text: Option<&str>) -> Result<Swap> {
        let world = &self.world;
        world.may_crash(self.process).await;
        self.fault("swap")?;
        if world.goes_on() && world.chance.happens(world.hazards.failing_saves) {
            world.state().failed(self.process, "save");
            return Err(Error::new(ErrorKind::StoreUnavailable, "the disk is full"));
        }
        let lock = Hold::take(world, Lock::Commit, self.process, COMMIT_LOCK_TIMEOUT).await;
        let _lock = lock.ok_or_else(|| Error::new(ErrorKind::LockTimeout, "the commit lock"))?;
        // The temp file is written and synced.
        world.may_crash(self.process).await;
        world.pause(0, 30).await;
        world.may_crash(self.process).await;
        let swap = self.swap_now(expected, text);
        world.may_crash(self.process).await;
        Ok(swap)
    }

    fn swap_now(&self, expected: &Version, text: Option<&str>) -> Swap {
        let mut state = self.world.state();
        let found = state.disk.content();
        if found.map_or(Version::absent(), |found| found.version.clone()) != *expected {
            return Swap::Conflict;
        }
        let content = text.map(|text| Content::new(text, &state.ledger));
        state.put(Client::Sdk(self.process), content, "replaced");
        Swap::Done
    }

    fn fault(&self, what: &'static str) -> Result<()> {
        if self.world.disk_fails() {
            self.world.state().failed(self.process, what);
            return Err(Error::new(ErrorKind::StoreUnavailable, "a fault of the disk"));
        }
        Ok(())
    }
}

impl AuthStorage for Storage {
    fn location(&self) -> String {
        "the simulated folder".to_owned()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.read_patiently())
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        if self.world.hazards.is_asked {
            return None;
        }
        match self.fault("load") {
            Ok(()) => self.read().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        (!self.world.hazards.is_asked).then(|| self.world.state().disk.stamp())
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async {
            let text = record.to_json_pretty();
            self.swap(expected, Some(text.expose())).await
        })
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(self.swap(expected, None))
    }

    fn ready(&self, _size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(async {
            self.fault("ready")?;
            let lock = Hold::take(&self.world, Lock::Commit, self.process, COMMIT_LOCK_TIMEOUT);
            let lock = lock.await;
            drop(lock.ok_or_else(|| Error::new(ErrorKind::LockTimeout, "the commit lock"))?);
            self.world.may_crash(self.process).await;
            Ok(Readiness::default())
        })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(async {
            self.fault("lock")?;
            let hold = Hold::try_take(&self.world, Lock::Refresh, self.process);
            Ok(hold.map(|hold| Box::new(Locked(hold)) as Box<dyn RefreshLock>))
        })
    }

    fn ledger(&self) -> Ledger {
        Ledger::from_bytes(&self.world.state().disk.ledger).unwrap_or_default()
    }
}

/// The refresh lock, held.
struct Locked(Hold);

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked").field("process", &self.0.process).finish_non_exhaustive()
    }
}

impl RefreshLock for Locked {
    fn check(&self) -> Result<()> {
        if self.0.world().disk_fails() {
            self.0.world().state().failed(self.0.process, "check");
            return Err(Error::new(ErrorKind::StoreUnavailable, "the lock is gone"));
        }
        Ok(())
    }

    fn ledger(&self) -> Ledger {
        Ledger::from_bytes(&self.0.world().state().disk.ledger).unwrap_or_default()
    }

    fn set_ledger<'a>(&'a self, ledger: &'a Ledger) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.0.world().state().disk.ledger = ledger.to_bytes();
            Ok(())
        })
    }
}
