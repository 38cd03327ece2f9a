//! Moves a login from one store to another, so that at no moment two programs can redeem two copies.
//!
//! The login waits beside its new place, where no program looks for one, until its old place is empty:
//! it is parked there, the old place is emptied, and then the new place is filled. Whatever ends this
//! process in between, at least one copy is stored, and at most one of them is in a place where a
//! program redeems it. Another run goes on from what is stored, where that shows what became of the old
//! place; where it does not, the user decides.

mod filling;
mod found;
mod locks;
mod parked;
mod refusal;
mod waiting;

use self::found::{Found, Held, check_movable, displaced, is_same, newer};
use self::locks::Locks;
use self::parked::{Parked, Parking};
use super::leftovers::remove_leftovers;
use crate::auth_dot_json::ParkingMark;
use crate::environment::Environment;
use crate::error::{Result, transient};
use crate::ledger::Ledger;
use crate::option_value::invalid;
use crate::snapshot::CodexAuth;
use crate::storage::{MoveIdFile, Place, Readiness, Swap};
use crate::tasks;

/// How often a move is tried because another program changes a store meanwhile.
const MOST_TRIES: usize = 5;

/// More than the mark of a login that waits adds to its record.
const GROWTH: usize = 4096;

/// One move.
pub(crate) struct Relocation {
    pub(crate) from: Place,
    pub(crate) to: Place,
    /// The id of the move, by which the home that it was begun in knows it.
    pub(crate) id: MoveIdFile,
    /// Whether a login that waits is stored although nothing shows that this move has emptied the old
    /// place: the user says that no other program has the login.
    pub(crate) completes_in_doubt: bool,
    pub(crate) environment: Environment,
}

/// Makes a move, and returns the login. A move that an earlier call has begun is completed. If the
/// caller is cancelled, the move goes on to its end.
///
/// # Errors
///
/// `invalid_option` if both are one place; `login_required` if there is nothing to move;
/// `identity_mismatch` if another login is in the way, or if a login waits and nothing shows that its
/// move has emptied the old place; `unsupported_mode` for a login that another program renews;
/// `refresh_token_*` or `refresh_transient` if the refresh token is, or may be, spent; `lock_timeout`;
/// those of both stores.
pub(crate) async fn relocate(relocation: Relocation) -> Result<CodexAuth> {
    let [from, to] = [&relocation.from, &relocation.to].map(Place::location);
    if from == to {
        let fix = "name another place";
        return Err(invalid("to", to, "which is where the login is moved from", fix));
    }
    let environment = relocation.environment.clone();
    tasks::run(&environment, async move { relocation.run().await }).await?
}

/// What both places hold, and what the holders of their locks know of tokens.
struct Seen {
    source: Found,
    target: Found,
    ledgers: [Ledger; 2],
}

impl Seen {
    const fn holders(&self) -> [bool; 2] {
        [self.source.login.is_some(), self.target.login.is_some()]
    }
}

impl Relocation {
    async fn run(&self) -> Result<CodexAuth> {
        for _ in 0..MOST_TRIES {
            if let Some(moved) = self.attempt().await? {
                remove_leftovers(&*self.from.storage).await;
                return Ok(moved);
            }
        }
        let (from, to) = (self.from.location(), self.to.location());
        Err(transient(format!("other programs keep changing {from} or {to}; run the move again")))
    }

    /// Moves the login. Returns none if another program has changed a store meanwhile.
    async fn attempt(&self) -> Result<Option<CodexAuth>> {
        let holders = self.look().await?.holders();
        let locks = Locks::take([&self.from, &self.to], holders, &self.environment).await?;
        let seen = self.look().await?;
        if seen.holders() != holders {
            return Ok(None);
        }
        self.check_nothing_waits_for_the_old_place().await?;
        let Some(login) = &seen.source.login else {
            let parked = self.left_by_another_run(&seen).await?;
            return self.fill_target(&parked, &seen.ledgers, &locks).await;
        };
        match self.empty_source(login, &seen, &locks).await? {
            // The new place stays writable until then.
            Some((_writable, parked)) => self.fill_target(&parked, &seen.ledgers, &locks).await,
            None => Ok(None),
        }
    }

    async fn look(&self) -> Result<Seen> {
        let source = Found::at(&*self.from.storage).await?;
        let target = Found::at(&*self.to.storage).await?;
        let ledgers = [&self.from, &self.to].map(|place| place.storage.ledger());
        Ok(Seen { source, target, ledgers })
    }

    /// Has the newest tokens of `login` wait beside the new place, and empties the old one. Returns what
    /// waits, with the proof that the new place can be written; none if another program has changed a
    /// store meanwhile.
    async fn empty_source(
        &self,
        login: &CodexAuth,
        seen: &Seen,
        locks: &Locks,
    ) -> Result<Option<(Readiness, Parked)>> {
        let parking = Parking::at(&*self.to.parking).await?;
        let newest = self.newest(login, seen, &parking).await?;
        check_movable(&newest, &seen.ledgers, self.environment.clock.now())?;
        for place in [&self.from, &self.to] {
            self.check_displaced(place, &[&self.from, &self.to]).await?;
        }
        // Neither place is changed unless both can be.
        let size = newest.login.record().to_json_pretty().expose().len() + GROWTH;
        let _removable = self.from.storage.ready(0).await?;
        let writable = self.to.storage.ready(size).await?;
        let mark = self.mark(newest.login, &seen.target).await?;
        let Some(parked) = self.park(&parking, newest.login, mark).await? else {
            return Ok(None);
        };
        if let Err(error) = self.check_removable(locks).await {
            self.take_back(&parked, &newest).await;
            return Err(error);
        }
        let removed = locks.delete_from(&self.from, &seen.source.version).await;
        if removed.map_err(|error| self.may_be_empty(&error))? == Swap::Conflict {
            self.take_back(&parked, &newest).await;
            return Ok(None);
        }
        tracing::info!(place = %self.from.location(), "the old place is empty");
        let marked = self.mark_as_emptied(parked).await.map_err(|error| self.waits(&error))?;
        Ok(marked.map(|parked| (writable, parked)))
    }

    /// Returns the newest of the login in the old place, the one in the new place, and the one that an
    /// earlier run has left beside that.
    async fn newest<'a>(
        &self,
        login: &'a CodexAuth,
        seen: &'a Seen,
        parking: &'a Parking,
    ) -> Result<Held<'a>> {
        let mut newest = Held { login, place: self.from.location() };
        if let Some(login) = &seen.target.login {
            let there = Held { login, place: self.to.location() };
            newest = newer(newest, there, &seen.ledgers, || self.is_taken())?;
        }
        if let Some(parked) = &parking.parked {
            self.check_own(parked).await?;
            let waiting = Held { login: &parked.login, place: self.to.parking.location() };
            newest = newer(newest, waiting, &seen.ledgers, || self.another_waits())?;
        }
        Ok(newest)
    }

    /// Returns the mark of `login` while it waits.
    async fn mark(&self, login: &CodexAuth, target: &Found) -> Result<ParkingMark> {
        let older = target.login.as_ref().filter(|there| !is_same(there, login));
        Ok(ParkingMark {
            from: self.from.location(),
            id: self.id.read_or_make().await?,
            replaces: older.and_then(CodexAuth::refresh_fingerprint),
            has_emptied: false,
        })
    }

    /// Fails if the old place cannot be emptied now.
    async fn check_removable(&self, locks: &Locks) -> Result<()> {
        self.check_displaced(&self.from, &[&self.to]).await?;
        locks.check()
    }

    /// Fails if a write of `place`, or a removal there, would remove a login in another place than these
    /// `own` ones.
    async fn check_displaced(&self, place: &Place, own: &[&Place]) -> Result<()> {
        for store in &place.displaced {
            let location = store.location();
            let is_own = own.iter().any(|own| own.location() == location);
            if !is_own && Found::at(&**store).await?.login.is_some() {
                return Err(displaced(&location, &place.location()));
            }
        }
        Ok(())
    }

    /// Fails if a login waits beside the old place. Once that place is emptied, it would be stored there
    /// by the run that completes its move.
    async fn check_nothing_waits_for_the_old_place(&self) -> Result<()> {
        match Parking::at(&*self.from.parking).await?.parked {
            Some(parked) => Err(self.incomplete(&parked.mark)),
            None => Ok(()),
        }
    }
}
