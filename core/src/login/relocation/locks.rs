//! The refresh locks of the places that hold a login.

use std::mem;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result, transient};
use crate::storage::{Place, RefreshLock, Swap, Version};

/// How long a refresh lock is waited for, as a refresh does by default.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// The locks that a move holds, by the names of the locks.
pub(super) struct Locks(Vec<(String, Box<dyn RefreshLock>)>);

impl Locks {
    /// Takes the locks of those `places` that hold a login. The order is the same for each move, so that
    /// no two moves wait for each other.
    pub(super) async fn take(
        places: [&Place; 2],
        holders: [bool; 2],
        environment: &Environment,
    ) -> Result<Self> {
        let places = places.into_iter().zip(holders);
        let mut places: Vec<_> =
            places.filter_map(|(place, holds)| holds.then_some(place)).collect();
        places.sort_by_key(|place| place.location());
        // Of the places in one home `auth.json` comes first. The lock that is taken for it is the
        // widest.
        places.dedup_by_key(|place| place.lock_name());
        let mut locks = Vec::new();
        for place in places {
            locks.push((place.lock_name(), take(place, environment).await?));
        }
        Ok(Self(locks))
    }

    /// Returns the lock of `place`, if that is held.
    pub(super) fn of(&self, place: &Place) -> Option<&dyn RefreshLock> {
        let name = place.lock_name();
        self.0.iter().find(|(known, _)| *known == name).map(|(_, lock)| &**lock)
    }

    /// Fails unless all locks are held, and will be for the moment that a removal takes.
    pub(super) fn check(&self) -> Result<()> {
        for (_, lock) in &self.0 {
            lock.check()?;
            if lock.held_for().is_some_and(|left| left.is_zero()) {
                return Err(transient(
                    "a refresh lock ends too soon; nothing was moved, try again",
                ));
            }
        }
        Ok(())
    }

    /// Removes the login of `place` if it still has this `version`, and its lock is still held.
    pub(super) async fn delete_from(&self, place: &Place, version: &Version) -> Result<Swap> {
        match self.of(place) {
            Some(lock) => lock.delete_from(&*place.storage, version).await,
            None => Ok(Swap::Conflict),
        }
    }
}

async fn take(place: &Place, environment: &Environment) -> Result<Box<dyn RefreshLock>> {
    let clock = &environment.clock;
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
                "another program has held the refresh lock of {} for too long, which it does while it \
                 refreshes, and while it cannot save; this run has moved nothing, try again",
                place.location()
            );
            return Err(Error::new(ErrorKind::LockTimeout, message));
        }
        environment.poll_pause(waited).await;
    }
}
