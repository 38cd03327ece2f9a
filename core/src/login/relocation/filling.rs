//! Stores the login that waits in its new place, once the old place is empty.

use super::Relocation;
use super::found::{Found, Held, descends, is_same, is_same_login, unproven};
use super::locks::Locks;
use super::parked::Parked;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::snapshot::CodexAuth;
use crate::storage::{RefreshLock, Swap, Version};

impl Relocation {
    /// Stores `parked` in the new place, and removes it beside that. Returns none if another program has
    /// changed a store meanwhile.
    pub(super) async fn fill_target(
        &self,
        parked: &Parked,
        ledgers: &[Ledger; 2],
        locks: &Locks,
    ) -> Result<Option<CodexAuth>> {
        let filled =
            self.store(parked, ledgers, locks).await.map_err(|error| self.waits(&error))?;
        if filled.is_some() {
            self.remove(parked).await;
        }
        Ok(filled)
    }

    /// Stores `parked` in the new place, unless that has the login already. Returns what it has then.
    async fn store(
        &self,
        parked: &Parked,
        ledgers: &[Ledger; 2],
        locks: &Locks,
    ) -> Result<Option<CodexAuth>> {
        let target = Found::at(&*self.to.storage).await?;
        if let Some(there) = &target.login {
            if is_same(there, &parked.login) || descends(there, &parked.login, ledgers) {
                return Ok(Some(there.clone()));
            }
            self.check_replaced(there, parked, ledgers)?;
        }
        // What was in the old place is gone: what is there is another login by now.
        self.check_displaced(&self.to, &[]).await?;
        if self.write_target(parked, &target.version).await? == Swap::Conflict {
            return Ok(None);
        }
        tracing::info!(place = %self.to.location(), "the login is stored");
        self.hand_ledger_on(&ledgers[0], locks).await;
        Ok(Some(parked.login.clone()))
    }

    /// Writes `parked` to the new place. If this process ends right after that, other programs may take
    /// the login away from there before the next run, which must then not store it again: so the id of the
    /// move goes first, and comes back if nothing was written.
    async fn write_target(&self, parked: &Parked, expected: &Version) -> Result<Swap> {
        self.id.remove().await?;
        let swap = self.to.storage.commit(expected, parked.login.record()).await;
        if !matches!(swap, Ok(Swap::Done))
            && let Err(error) = self.id.write(&parked.mark.id).await
        {
            tracing::warn!(%error, "the next run of the move will ask whether to complete it");
        }
        swap
    }

    /// Fails unless `parked` is newer than the login `there` in the new place.
    fn check_replaced(
        &self,
        there: &CodexAuth,
        parked: &Parked,
        ledgers: &[Ledger; 2],
    ) -> Result<()> {
        let token = there.refresh_fingerprint();
        if token.is_some() && token == parked.mark.replaces
            || descends(&parked.login, there, ledgers)
        {
            return Ok(());
        }
        if !is_same_login(there, &parked.login) {
            return Err(self.is_taken());
        }
        let there = Held { login: there, place: self.to.location() };
        let waiting = Held { login: &parked.login, place: self.to.parking.location() };
        Err(unproven(&there, &waiting))
    }

    /// Tells the holders of the lock of the new place what those of the old one `known` of the tokens.
    /// It is no error if that fails: all of it can be learned again.
    async fn hand_ledger_on(&self, known: &Ledger, locks: &Locks) {
        if self.from.lock_name() == self.to.lock_name() {
            return;
        }
        if let Some(lock) = locks.of(&self.to) {
            return teach(lock, known).await;
        }
        if let Ok(Some(lock)) = self.to.storage.try_lock().await {
            teach(&*lock, known).await;
        }
    }
}

async fn teach(lock: &dyn RefreshLock, known: &Ledger) {
    let mut ledger = lock.ledger();
    ledger.learn_tokens(known);
    if let Err(error) = lock.set_ledger(&ledger).await {
        tracing::warn!(%error, "what is known of the tokens was not moved along");
    }
}
