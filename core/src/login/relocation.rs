//! Moves a login from one store to another, so that at no moment two programs can redeem two copies.
//!
//! The login waits beside its new place, where no program looks for one, until its old place is empty:
//! it is parked there, the old place is emptied, and then the new place is filled. Whatever ends this
//! process in between, at least one copy is stored, and at most one of them is in a place where a
//! program redeems it. Another run goes on from what is stored.

mod found;

use std::mem;
use std::time::Duration;

use self::found::{Found, check_movable, descends, is_same, is_same_login, mismatch};
use super::leftovers::remove_leftovers;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result, transient};
use crate::ledger::{Knowledge, Ledger};
use crate::option_value::invalid;
use crate::snapshot::CodexAuth;
use crate::storage::{Place, Readiness, RefreshLock, Swap};
use crate::tasks;

/// How often a move is tried because another program changes a store meanwhile.
const MOST_TRIES: usize = 5;

/// How long a refresh lock is waited for, as a refresh does by default.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// More than the mark of a login that waits adds to its record.
const GROWTH: usize = 4096;

/// Moves the login of `from` to `to`, and returns it. A move that an earlier call has begun is
/// completed. If the caller is cancelled, the move goes on to its end.
///
/// # Errors
///
/// `invalid_option` if both are one place; `login_required` if there is nothing to move;
/// `identity_mismatch` if another login is in the way; `unsupported_mode` for a login that another
/// program renews; `refresh_token_*` or `refresh_transient` if the refresh token is, or may be, spent;
/// `lock_timeout`; those of both stores.
pub(crate) async fn relocate(
    from: Place,
    to: Place,
    environment: &Environment,
) -> Result<CodexAuth> {
    if from.location() == to.location() {
        let fix = "name another place";
        return Err(invalid("to", to.location(), "which is where the login is moved from", fix));
    }
    let relocation = Relocation { from, to, environment: environment.clone() };
    tasks::run(environment, async move { relocation.run().await }).await?
}

/// One move.
struct Relocation {
    from: Place,
    to: Place,
    environment: Environment,
}

/// The refresh locks of the places that hold a login.
type Locks = Vec<Box<dyn RefreshLock>>;

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
        let [source, target] = [&self.from, &self.to].map(|place| Found::at(&*place.storage));
        let holders = [source.await?.login.is_some(), target.await?.login.is_some()];
        let locks = self.lock(holders).await?;
        let source = Found::at(&*self.from.storage).await?;
        let target = Found::at(&*self.to.storage).await?;
        if [source.login.is_some(), target.login.is_some()] != holders {
            return Ok(None);
        }
        let ledgers = [&self.from, &self.to].map(|place| place.storage.ledger());
        let _writable = match &source.login {
            None => None,
            Some(login) => {
                let winner = self.newer(login, &target, &ledgers)?;
                let ready = self.empty_source(login, winner, [&source, &target], &locks).await?;
                if ready.is_none() {
                    return Ok(None);
                }
                ready
            }
        };
        self.fill_target(&ledgers).await
    }

    /// Has `winner` wait beside the new place, and removes `login` from the old one. Returns the proof
    /// that the new place can be written, or none if another program has changed a store meanwhile.
    async fn empty_source(
        &self,
        login: &CodexAuth,
        winner: &CodexAuth,
        [source, target]: [&Found; 2],
        locks: &Locks,
    ) -> Result<Option<Readiness>> {
        self.check_displaced().await?;
        // Neither place is changed unless both can be.
        let size = winner.record().to_json_pretty().expose().len() + GROWTH;
        let _removable = self.from.storage.ready(0).await?;
        let writable = self.to.storage.ready(size).await?;
        if !self.park(login, winner).await? {
            return Ok(None);
        }
        check_held(locks)?;
        let is_older = target.login.as_ref().is_some_and(|there| !is_same(there, winner));
        // A spent token goes first, so that what the new place holds is no older than what waits.
        if is_older && self.to.storage.delete(&target.version).await? == Swap::Conflict {
            return Ok(None);
        }
        if self.from.storage.delete(&source.version).await? == Swap::Conflict {
            return Ok(None);
        }
        tracing::info!(place = %self.from.location(), "the old place is empty");
        Ok(Some(writable))
    }

    /// Takes the refresh locks of the places that hold a login. The order is the same for each move, so
    /// that no two moves wait for each other.
    async fn lock(&self, [source, target]: [bool; 2]) -> Result<Locks> {
        let mut places: Vec<&Place> = Vec::new();
        places.extend(source.then_some(&self.from));
        places.extend(target.then_some(&self.to));
        places.sort_by_key(|place| place.location());
        // Of the places in one home `auth.json` comes first. The lock that is taken for it is the
        // widest.
        places.dedup_by(|one, other| one.home.is_some() && one.home == other.home);
        let mut locks = Locks::new();
        for place in places {
            locks.push(self.lock_of(place).await?);
        }
        Ok(locks)
    }

    async fn lock_of(&self, place: &Place) -> Result<Box<dyn RefreshLock>> {
        let clock = &self.environment.clock;
        let start = clock.elapsed();
        let mut is_told = false;
        loop {
            if let Some(lock) = place.storage.try_lock().await? {
                return Ok(lock);
            }
            let waited = clock.elapsed() - start;
            if !mem::replace(&mut is_told, true) {
                tracing::info!(place = %place.location(), "another program holds the refresh lock");
            }
            if waited >= LOCK_TIMEOUT {
                let message = format!(
                    "another program has held the refresh lock of {} for too long, which it does while \
                     it refreshes, and while it cannot save; nothing was moved, try again",
                    place.location()
                );
                return Err(Error::new(ErrorKind::LockTimeout, message));
            }
            self.environment.poll_pause(waited).await;
        }
    }

    /// Returns the newer one of the login to be moved and the login in the new place, if it works as well
    /// in the new place as in the old one.
    fn newer<'a>(
        &'a self,
        login: &'a CodexAuth,
        target: &'a Found,
        ledgers: &[Ledger; 2],
    ) -> Result<&'a CodexAuth> {
        let (newer, place) = match &target.login {
            Some(there) if login.record() != there.record() => {
                self.newer_of(login, there, ledgers)?
            }
            _ => (login, &self.from),
        };
        check_movable(newer, &place.location(), ledgers, self.environment.clock.now())?;
        Ok(newer)
    }

    /// Returns the newer one of two logins with other tokens, and where it is.
    fn newer_of<'a>(
        &'a self,
        login: &'a CodexAuth,
        there: &'a CodexAuth,
        ledgers: &[Ledger; 2],
    ) -> Result<(&'a CodexAuth, &'a Place)> {
        let is_newer = descends(login, there, ledgers);
        let is_one_line = is_newer || descends(there, login, ledgers);
        if !is_same_login(login, there, is_one_line) {
            return Err(self.is_taken());
        }
        match is_one_line {
            true => Ok(if is_newer { (login, &self.from) } else { (there, &self.to) }),
            false => Err(mismatch(format!(
                "{} and {} hold tokens of one login, and nothing shows which are newer; remove the \
                 login from one of them (logout --no-revoke), then run the move again",
                self.from.location(),
                self.to.location()
            ))),
        }
    }

    fn is_taken(&self) -> Error {
        let to = self.to.location();
        mismatch(format!(
            "{to} holds another login, which a move does not replace; log out there first"
        ))
    }

    /// Has `winner` wait beside the new place, while `login` is in the old one. Returns whether it
    /// does: another program may have changed what waits.
    async fn park(&self, login: &CodexAuth, winner: &CodexAuth) -> Result<bool> {
        let (from, place) = (self.from.location(), self.to.parking.location());
        let parked = Found::at(&*self.to.parking).await?;
        if let Some(other) = &parked.login {
            self.check_parked(&parked)?;
            // A login that is in the old place again, or still, has waited in vain.
            if !is_same_login(other, login, is_same(other, login)) {
                return Err(mismatch(format!(
                    "{place} holds another login, whose move from {from} was interrupted; log out there \
                     to give it up"
                )));
            }
        }
        let record = winner.record().parked(&from);
        let swap = self.to.parking.commit(&parked.version, &record).await?;
        tracing::info!(%place, "the login waits until the old place is empty");
        Ok(swap == Swap::Done)
    }

    /// Fails if a write of one of the places would remove another login.
    async fn check_displaced(&self) -> Result<()> {
        for place in [&self.from, &self.to] {
            let Some(file) = &place.displaced else { continue };
            let location = file.location();
            if [self.from.location(), self.to.location()].contains(&location) {
                continue;
            }
            if Found::at(&**file).await?.login.is_some() {
                return Err(mismatch(format!(
                    "{location} holds a login too, which any write of {} removes; move that one away, \
                     or remove it, first",
                    place.location()
                )));
            }
        }
        Ok(())
    }

    /// Fails if what waits is not the login of this move.
    fn check_parked(&self, parked: &Found) -> Result<()> {
        let place = self.to.parking.location();
        match &parked.moved_from {
            Some(from) if *from == self.from.location() => Ok(()),
            Some(from) => Err(mismatch(format!(
                "{place} holds the login of a move from {from} that was interrupted; complete that one \
                 first, by running it again"
            ))),
            None => Err(mismatch(format!("{place} holds a login that no move has left there"))),
        }
    }

    /// Stores the login that waits in the new place, once the old place is empty. Returns none if
    /// another program has changed a store meanwhile.
    async fn fill_target(&self, ledgers: &[Ledger; 2]) -> Result<Option<CodexAuth>> {
        let parked = Found::at(&*self.to.parking).await?;
        let target = Found::at(&*self.to.storage).await;
        let Some(login) = &parked.login else { return Err(self.nothing_to_move(&target?)) };
        let target = target.map_err(|error| self.waits(&error))?;
        self.check_parked(&parked)?;
        let moved = match &target.login {
            // What is there is the login, or has come after it.
            Some(there) if is_same_login(there, login, is_same(there, login)) => there,
            Some(_) => return Err(self.waits(&self.is_taken())),
            None if self.is_spent(login, ledgers) => {
                let _ = self.to.parking.delete(&parked.version).await?;
                return Err(self.nothing_to_move(&target));
            }
            None => {
                let stored = self.to.storage.commit(&target.version, login.record()).await;
                if stored.map_err(|error| self.waits(&error))? == Swap::Conflict {
                    return Ok(None);
                }
                tracing::info!(place = %self.to.location(), "the login is stored");
                self.hand_ledger_on(&ledgers[0]).await;
                login
            }
        };
        // A conflict: another run of this move has ended before this one.
        let _ = self.to.parking.delete(&parked.version).await?;
        Ok(Some(moved.clone()))
    }

    /// Returns whether the login that waits was redeemed after it was parked: the move was interrupted
    /// before the old place was empty, and other programs have used and removed the login there since.
    fn is_spent(&self, login: &CodexAuth, ledgers: &[Ledger; 2]) -> bool {
        let Some(token) = login.refresh_fingerprint() else { return false };
        let now = self.environment.clock.now();
        ledgers.iter().any(|ledger| matches!(ledger.about(token, now), Knowledge::Spent { .. }))
    }

    /// Tells the holders of the lock of the new place what those of the old one knew of the tokens. It
    /// is no error if that fails: all of it can be learned again.
    async fn hand_ledger_on(&self, known: &Ledger) {
        if self.from.home.is_some() && self.from.home == self.to.home {
            return;
        }
        let Ok(Some(lock)) = self.to.storage.try_lock().await else { return };
        let mut ledger = lock.ledger();
        ledger.learn_tokens(known);
        if let Err(error) = lock.set_ledger(&ledger).await {
            tracing::warn!(%error, "what is known of the tokens was not moved along");
        }
    }

    fn nothing_to_move(&self, target: &Found) -> Error {
        let (from, to) = (self.from.location(), self.to.location());
        let there =
            if target.login.is_some() { format!("; {to} holds one") } else { String::new() };
        Error::new(ErrorKind::LoginRequired, format!("no login is stored in {from}{there}"))
    }

    /// Returns the `error` of a move that another run completes.
    fn waits(&self, error: &Error) -> Error {
        let (place, from) = (self.to.parking.location(), self.from.location());
        Error::new(
            error.kind(),
            format!(
                "{error}; the login is no longer in {from} and waits in {place}: correct that, and run \
                 the move again"
            ),
        )
    }
}

/// Fails unless all locks are held, and will be for the moment that a removal takes.
fn check_held(locks: &Locks) -> Result<()> {
    for lock in locks {
        lock.check()?;
        if lock.held_for().is_some_and(|left| left.is_zero()) {
            return Err(transient("a refresh lock ends too soon; nothing was moved, try again"));
        }
    }
    Ok(())
}
