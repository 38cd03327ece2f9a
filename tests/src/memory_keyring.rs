//! A keyring in memory that can be small, locked, taken away and brought to a halt, for tests of
//! stores.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use codex_auth_sdk::environment::BoxFuture;
use codex_auth_sdk::storage::{Attendance, Keyring, KeyringItem};
use codex_auth_sdk::{Error, ErrorKind, Result, Secret};

/// A keyring in memory. Clones share its items.
#[derive(Debug, Clone, Default)]
pub struct MemoryKeyring(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    attendance: Attendance,
}

#[derive(Debug, Default)]
struct State {
    items: HashMap<KeyringItem, Secret>,
    condition: watch::Sender<Condition>,
    unlocks: usize,
    longest_value: Option<usize>,
}

/// How a [`MemoryKeyring`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// It works.
    #[default]
    Works,
    /// It is locked, and its user unlocks it when asked.
    Locked,
    /// It is locked, and its user wants it so.
    Sealed,
    /// It cannot be reached.
    Gone,
    /// There is none, and the machine knows that.
    Missing,
    /// It never answers.
    Stuck,
    /// It is locked, and its user does not answer when asked.
    Unattended,
    /// It answers reads; writes have their effect once it is in another condition.
    Late,
    /// What is in it can be read and replaced; what new items would be made in is locked.
    TakesNothingNew,
    /// What is written arrives, and is never answered.
    SilentlyWritten,
}

impl MemoryKeyring {
    /// Changes how it is.
    pub fn set_condition(&self, condition: Condition) {
        self.state().condition.send_replace(condition);
    }

    /// Makes it take no values of more bytes than this.
    pub fn set_longest_value(&self, bytes: usize) {
        self.state().longest_value = Some(bytes);
    }

    /// What `item` holds, in whatever condition.
    pub fn peek(&self, item: &KeyringItem) -> Option<Secret> {
        self.state().items.get(item).cloned()
    }

    /// Puts `value` there as a foreign program, in whatever condition.
    pub fn put(&self, item: &KeyringItem, value: Secret) {
        self.state().items.insert(item.clone(), value);
    }

    /// Removes `item` as a foreign program, in whatever condition.
    pub fn remove(&self, item: &KeyringItem) {
        self.state().items.remove(item);
    }

    /// How often its user was asked to unlock it.
    pub fn unlocks(&self) -> usize {
        self.state().unlocks
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn working(&self) -> Result<MutexGuard<'_, State>> {
        let fail = |kind, message: &str| Err(Error::new(kind, message));
        let condition = *self.state().condition.borrow();
        match condition {
            Condition::Works
            | Condition::Late
            | Condition::TakesNothingNew
            | Condition::SilentlyWritten => Ok(self.state()),
            Condition::Locked | Condition::Sealed | Condition::Unattended => {
                fail(ErrorKind::KeyringLocked, "the keyring is locked")
            }
            Condition::Gone | Condition::Missing => {
                fail(ErrorKind::KeyringUnavailable, "there is no keyring")
            }
            Condition::Stuck => pending().await,
        }
    }

    async fn written(&self) -> Result<MutexGuard<'_, State>> {
        let mut condition = self.state().condition.subscribe();
        drop(condition.wait_for(|condition| *condition != Condition::Late).await);
        self.working().await
    }
}

impl Keyring for MemoryKeyring {
    fn get<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async { Ok(self.working().await?.items.get(item).cloned()) })
    }

    fn set<'a>(&'a self, item: &'a KeyringItem, value: &'a Secret) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            drop(self.written().await?);
            self.ready(item).await?;
            let condition = {
                let mut state = self.state();
                state.items.insert(item.clone(), value.clone());
                *state.condition.borrow()
            };
            if condition == Condition::SilentlyWritten { pending().await } else { Ok(()) }
        })
    }

    fn delete<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.written().await?.items.remove(item);
            Ok(())
        })
    }

    fn unlock<'a>(&'a self, _: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.state().unlocks += 1;
            let condition = *self.state().condition.borrow();
            match condition {
                Condition::Unattended => pending().await,
                Condition::Locked => {
                    self.set_condition(Condition::Works);
                    Ok(())
                }
                _ => Err(Error::new(ErrorKind::KeyringLocked, "the prompt was dismissed")),
            }
        })
    }

    fn attendance(&self) -> &Attendance {
        &self.0.attendance
    }

    fn is_missing(&self) -> bool {
        *self.state().condition.borrow() == Condition::Missing
    }

    fn ready<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let state = self.working().await?;
            let takes_new = *state.condition.borrow() != Condition::TakesNothingNew;
            if takes_new || state.items.contains_key(item) {
                return Ok(());
            }
            Err(Error::new(ErrorKind::KeyringLocked, "nothing new can be made"))
        })
    }

    fn longest_value(&self) -> Option<usize> {
        self.state().longest_value
    }
}
