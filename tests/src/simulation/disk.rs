//! The folder of a login, as a machine keeps it: one file, two locks that die with their holders,
//! and the refresh lock's own record.

use std::sync::Arc;
use std::time::Duration;

use codex_auth_sdk::storage::Stamp;

use super::executor::ProcessId;
use super::record::Content;
use super::world::World;

/// File times have the resolution of the kernel's timer.
const TICK_MILLIS: u128 = 4;

/// The locks of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Ours, held from before a redemption until after its save.
    Refresh,
    /// The Codex CLI's two, held for a save; they count as one here.
    Commit,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Disk {
    content: Option<Content>,
    written: Duration,
    inode: u64,
    refresh: Option<Holder>,
    commit: Option<Holder>,
    holds: u64,
    pub(super) ledger: Vec<u8>,
    /// How often the file was read, and how often its times were looked at.
    pub(super) reads: u64,
    pub(super) looks: u64,
    pub(super) lock_tries: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder {
    process: ProcessId,
    hold: u64,
}

impl Disk {
    pub(super) const fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }

    /// Replaces the file by another, or removes it.
    pub(super) fn replace(&mut self, content: Option<Content>, now: Duration) {
        // The number of the file before the last is free again by now.
        self.inode = (self.inode + 1) % 2;
        self.overwrite(content, now);
    }

    /// Writes into the file that is there.
    pub(super) fn overwrite(&mut self, content: Option<Content>, now: Duration) {
        self.written = now;
        self.content = content;
    }

    /// What `stat` tells of the file.
    pub(super) fn stamp(&mut self) -> Stamp {
        self.looks += 1;
        let tick = self.written.as_millis() / TICK_MILLIS;
        let file = self.content.as_ref().map(|content| (tick, content.text.len(), self.inode));
        Stamp::of(file)
    }

    pub(super) fn holds(&self, lock: Lock, process: ProcessId) -> bool {
        self.holder(lock).is_some_and(|holder| holder.process == process)
    }

    /// Who holds the refresh lock.
    pub(super) fn locked_by(&self) -> Option<ProcessId> {
        self.refresh.map(|holder| holder.process)
    }

    /// What the system does when `process` has ended.
    pub(super) fn release_all(&mut self, process: ProcessId) {
        for lock in [Lock::Refresh, Lock::Commit] {
            if self.holds(lock, process) {
                *self.slot(lock) = None;
            }
        }
    }

    fn try_lock(&mut self, lock: Lock, process: ProcessId) -> Option<u64> {
        if self.holder(lock).is_some() {
            return None;
        }
        self.holds += 1;
        let hold = self.holds;
        *self.slot(lock) = Some(Holder { process, hold });
        Some(hold)
    }

    /// Whether `hold` was still that of the lock.
    fn release(&mut self, lock: Lock, hold: u64) -> bool {
        let is_held = self.holder(lock).is_some_and(|holder| holder.hold == hold);
        if is_held {
            *self.slot(lock) = None;
        }
        is_held
    }

    const fn holder(&self, lock: Lock) -> Option<Holder> {
        match lock {
            Lock::Refresh => self.refresh,
            Lock::Commit => self.commit,
        }
    }

    const fn slot(&mut self, lock: Lock) -> &mut Option<Holder> {
        match lock {
            Lock::Refresh => &mut self.refresh,
            Lock::Commit => &mut self.commit,
        }
    }
}

/// A lock that is held until this is dropped, or until its process ends.
pub(super) struct Hold {
    world: Arc<World>,
    lock: Lock,
    pub(super) process: ProcessId,
    hold: u64,
}

impl Hold {
    pub(super) fn try_take(world: &Arc<World>, lock: Lock, process: ProcessId) -> Option<Self> {
        let mut state = world.state();
        if lock == Lock::Refresh {
            state.disk.lock_tries += 1;
        }
        let hold = state.disk.try_lock(lock, process)?;
        if lock == Lock::Refresh {
            state.locked(process);
        }
        drop(state);
        Some(Self { world: Arc::clone(world), lock, process, hold })
    }

    /// Waits for the lock, at most so long.
    pub(super) async fn take(
        world: &Arc<World>,
        lock: Lock,
        process: ProcessId,
        longest: Duration,
    ) -> Option<Self> {
        let end = world.executor.now() + longest;
        loop {
            if let Some(hold) = Self::try_take(world, lock, process) {
                return Some(hold);
            }
            if world.executor.now() >= end {
                return None;
            }
            world.pause(5, 20).await;
        }
    }

    pub(super) const fn world(&self) -> &Arc<World> {
        &self.world
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.world.state();
        if state.disk.release(self.lock, self.hold) && self.lock == Lock::Refresh {
            state.unlocked(self.process);
        }
    }
}
