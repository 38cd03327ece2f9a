//! A keyring that is waited for, and not for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::item::KeyringItem;
use super::prompts::{PATIENCE, Turn};
use super::provider::Keyring;
use crate::description::{KeyringPlace, StorePlaces};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// How long a question is thought to be on the user's screen. It is not taken back: to dismiss it
/// ends gnome-keyring 42.1, and it does no harm to answer it late.
const LONGEST_QUESTION: Duration = Duration::from_secs(600);

/// How long one call may take while the commit locks are held: the Codex CLI throws its own tokens
/// away where it waits 5 s for them.
pub(super) const PATIENCE_UNDER_LOCKS: Duration = Duration::from_secs(1);

/// A keyring with an end to its patience.
#[derive(Debug, Clone)]
pub(in crate::storage) struct PatientKeyring {
    keyring: Arc<dyn Keyring>,
    environment: Environment,
}

impl PatientKeyring {
    pub(in crate::storage) fn new(keyring: Arc<dyn Keyring>, environment: Environment) -> Self {
        Self { keyring, environment }
    }

    /// What `item` holds, once its user has unlocked the keyring if need be.
    pub(in crate::storage) async fn get(&self, item: &KeyringItem) -> Result<Option<Secret>> {
        let found = self.within(PATIENCE, self.keyring.get(item)).await;
        match found {
            Err(error) if error.kind() == ErrorKind::KeyringLocked => {
                let unlocked = self.get_unlocked(item, &error);
                let found = self.environment.within(PATIENCE, unlocked).await;
                found.unwrap_or(Err(error.clone()))
            }
            found => {
                if matches!(found, Ok(Some(_))) {
                    self.keyring.prompts().forget();
                }
                found
            }
        }
    }

    /// Asks the user, unless a question was refused a short while ago; else fails with `locked`.
    async fn get_unlocked(&self, item: &KeyringItem, locked: &Error) -> Result<Option<Secret>> {
        let turn = self.keyring.prompts().turn(self.environment.clock.now()).await;
        let (sender, answer) = oneshot::channel();
        let question = self.clone().ask(item.clone(), turn.ok_or_else(|| locked.clone())?);
        let question = async move { drop(sender.send(question.await)) };
        // A reader waits for it no longer than for the keyring, but the user may still answer it.
        let started = self.environment.spawner.spawn_read(Box::pin(question));
        started.map_err(|_| locked.clone())?;
        answer.await.unwrap_or_else(|_| Err(locked.clone()))?;
        self.keyring.get(item).await
    }

    async fn ask(self, item: KeyringItem, turn: Turn) -> Result<()> {
        let unlock = self.keyring.unlock(&item);
        let answer = self.environment.within(LONGEST_QUESTION, unlock).await;
        let is_unlocked = answer.as_ref().is_some_and(Result::is_ok);
        turn.end(is_unlocked, self.environment.clock.now());
        answer.unwrap_or(Ok(()))
    }

    /// What `item` holds, without a question to the user: for holders of the commit locks.
    pub(in crate::storage) async fn get_under_locks(
        &self,
        item: &KeyringItem,
    ) -> Result<Option<Secret>> {
        self.within_locks(self.keyring.get(item)).await
    }

    /// Adds to `places` whether the keyring answers and has `item`, without a question to the user.
    pub(in crate::storage) async fn describe_in(
        &self,
        places: StorePlaces,
        item: Result<KeyringItem>,
    ) -> StorePlaces {
        // Without the folder's real path the item has no name, and `places` says why.
        let Ok(item) = item else { return places };
        let found = self.get_under_locks(&item).await;
        let keyring = KeyringPlace {
            service: item.service().to_owned(),
            account: item.account().to_owned(),
            is_reached: found.is_ok(),
            is_there: matches!(found, Ok(Some(_))),
            problem: found.err().map(|error| error.to_string()),
        };
        StorePlaces { keyring: Some(keyring), ..places }
    }

    /// Fails where `item` could not be set.
    pub(super) async fn prove_ready(&self, item: &KeyringItem) -> Result<()> {
        self.within(PATIENCE_UNDER_LOCKS, self.keyring.ready(item)).await
    }

    #[cfg(feature = "encrypted")]
    pub(in crate::storage) async fn set_under_locks(
        &self,
        item: &KeyringItem,
        value: &Secret,
    ) -> Result<()> {
        self.within_locks(self.keyring.set(item, value)).await
    }

    #[cfg(feature = "encrypted")]
    pub(in crate::storage) async fn delete_under_locks(&self, item: &KeyringItem) -> Result<()> {
        self.within_locks(self.keyring.delete(item)).await
    }

    /// Makes `item` hold `value`, or removes it, however long that takes.
    pub(super) async fn write(&self, item: &KeyringItem, value: Option<&Secret>) -> Result<()> {
        match value {
            Some(value) => self.keyring.set(item, value).await,
            None => self.keyring.delete(item).await,
        }
    }

    /// What `call` answers while the commit locks may be held for it.
    pub(super) async fn within_locks<T>(
        &self,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.within(PATIENCE_UNDER_LOCKS, call).await
    }

    pub(in crate::storage) fn check_length(&self, size: usize) -> Result<()> {
        match self.keyring.longest_value() {
            Some(longest) if size > longest => Err(Error::new(
                ErrorKind::KeyringTooLong,
                format!(
                    "the login takes {size} bytes, and the keyring no more than {longest}; use \
                     the store `file` or `encrypted`"
                ),
            )),
            _ => Ok(()),
        }
    }

    async fn within<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let answer = self.environment.within(patience, call).await;
        answer.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::KeyringUnavailable,
                format!("the keyring has not answered for {patience:?}; try again"),
            ))
        })
    }
}
