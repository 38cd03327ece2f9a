//! How a login waits beside its new place: it is parked there, marked once the old place is empty, and
//! taken back where that place was not emptied.

use super::found::{Held, descends, is_same};
use super::parked::{Parked, Parking};
use super::{Relocation, Seen};
use crate::auth_dot_json::ParkingMark;
use crate::error::Result;
use crate::ledger::{Knowledge, Ledger};
use crate::snapshot::CodexAuth;
use crate::storage::{Swap, Version};

impl Relocation {
    /// Has `login` wait beside the new place, with this `mark`. Returns none if another program has
    /// changed what waits there.
    pub(super) async fn park(
        &self,
        parking: &Parking,
        login: &CodexAuth,
        mark: ParkingMark,
    ) -> Result<Option<Parked>> {
        let parked = self.write(&parking.version, login, mark).await?;
        let place = self.to.parking.location();
        tracing::info!(%place, "the login waits until the old place is empty");
        Ok(parked)
    }

    /// Marks that this move has emptied the old place of `parked`. Returns none if another program has
    /// changed what waits.
    pub(super) async fn mark_as_emptied(&self, parked: Parked) -> Result<Option<Parked>> {
        let mark = ParkingMark { has_emptied: true, ..parked.mark };
        self.write(&parked.version, &parked.login, mark).await
    }

    async fn write(
        &self,
        version: &Version,
        login: &CodexAuth,
        mark: ParkingMark,
    ) -> Result<Option<Parked>> {
        let storage = &*self.to.parking;
        if storage.commit(version, &login.record().parked(&mark)).await? == Swap::Conflict {
            return Ok(None);
        }
        let written = Parking::at(storage).await?.parked;
        Ok(written.filter(|written| written.mark == mark))
    }

    /// Removes `parked` again, of which the old place still has a copy, or another program that has
    /// emptied it. What was `newest` because it waited is nowhere else, and stays.
    pub(super) async fn take_back(&self, parked: &Parked, newest: &Held<'_>) {
        if newest.place == self.to.parking.location() {
            return;
        }
        self.remove(parked).await;
    }

    /// Removes `parked`, and the id of the move: a copy that stays is stored by no later run without a
    /// question. A failure is a warning.
    pub(super) async fn remove(&self, parked: &Parked) {
        // A conflict: another run has removed it.
        if let Err(error) = self.to.parking.delete(&parked.version).await {
            let place = self.to.parking.location();
            tracing::warn!(%error, %place, "a copy of the login is left; remove it: logout --no-revoke");
        }
        if let Err(error) = self.id.remove().await {
            tracing::warn!(%error, "the move has ended, and its id is still there; remove it");
        }
    }

    /// Returns the login that another run of this move has left, if it is sure that it has emptied the
    /// old place, if the new place has the login, or if the user says that no other program has it.
    pub(super) async fn left_by_another_run(&self, seen: &Seen) -> Result<Parked> {
        let Some(parked) = Parking::at(&*self.to.parking).await?.parked else {
            return Err(self.nothing_to_move(&seen.target));
        };
        self.check_origin(&parked)?;
        if seen.target.login.is_none() && self.is_spent(&parked.login, &seen.ledgers) {
            self.remove(&parked).await;
            return Err(self.nothing_to_move(&seen.target));
        }
        let is_stored = seen.target.login.as_ref().is_some_and(|there| {
            is_same(there, &parked.login) || descends(there, &parked.login, &seen.ledgers)
        });
        if !is_stored && !self.completes_in_doubt {
            self.check_own(&parked).await?;
            if !parked.mark.has_emptied {
                return Err(self.in_doubt());
            }
        }
        Ok(parked)
    }

    /// Returns whether the login that waits was redeemed after it was parked: the move was interrupted
    /// before the old place was empty, and other programs have used and removed the login there since.
    fn is_spent(&self, login: &CodexAuth, ledgers: &[Ledger; 2]) -> bool {
        let Some(token) = login.refresh_fingerprint() else { return false };
        let now = self.environment.clock.now();
        ledgers.iter().any(|ledger| matches!(ledger.about(token, now), Knowledge::Spent { .. }))
    }

    /// Fails unless `parked` waits for a move from the same place.
    fn check_origin(&self, parked: &Parked) -> Result<()> {
        if parked.mark.from == self.from.location() {
            return Ok(());
        }
        Err(self.other_origin(&parked.mark))
    }

    /// Fails unless `parked` waits for this move, which was begun with this home.
    pub(super) async fn check_own(&self, parked: &Parked) -> Result<()> {
        self.check_origin(parked)?;
        match self.id.read().await? {
            Some(id) if id == parked.mark.id => Ok(()),
            _ => Err(self.begun_elsewhere()),
        }
    }
}
