//! Whether a keyring and its user are there to answer, and how often they are asked if they do not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::OwnedMutexGuard;

use crate::process::PerProcess;

/// How long a read waits for the keyring, and for its user where it asks to be unlocked.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// How long a user who has not unlocked the keyring is left in peace.
const PEACE: TimeDelta = TimeDelta::minutes(1);

/// How long a keyring that has not answered is left alone.
const REST: TimeDelta = TimeDelta::seconds(30);

/// How long a keyring that has not answered is waited for after that: one that is slower than this
/// could not be written anyway.
const PATIENCE_OF_A_LOOK: Duration = Duration::from_secs(1);

/// When a keyring did not answer, and when its user was asked to unlock it and did not, for all that
/// read it in this process: a login that is waited for is read every few moments.
#[derive(Debug, Default)]
pub struct Attendance(PerProcess<State>);

#[derive(Debug, Default)]
struct State {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// When the last question began, or was refused. By the wall clock, which all readers share.
    asked: Mutex<Option<DateTime<Utc>>>,
    /// When the keyring was last waited for in vain, unless it has answered since.
    silent: Mutex<Option<DateTime<Utc>>>,
}

/// The turn to ask: there is one question at a time.
#[derive(Debug)]
pub(super) struct Turn {
    state: Arc<State>,
    _turn: OwnedMutexGuard<()>,
}

impl Attendance {
    /// Nothing has been asked.
    pub const fn new() -> Self {
        Self(PerProcess::new())
    }

    /// Returns how long the keyring is waited for, `now`; none while it is left alone.
    pub(super) fn patience(&self, now: DateTime<Utc>) -> Option<Duration> {
        let state = self.0.get_or_default();
        let mut silent = state.silent();
        match *silent {
            None => Some(PATIENCE),
            Some(since) if (now - since).abs() < REST => None,
            Some(_) => {
                // The others leave it alone while this one looks.
                *silent = Some(now);
                Some(PATIENCE_OF_A_LOOK)
            }
        }
    }

    /// The keyring has answered.
    pub(super) fn answered(&self) {
        *self.0.get_or_default().silent() = None;
    }

    /// The keyring has not answered, `now`. Returns whether it did the last time.
    pub(super) fn was_silent(&self, now: DateTime<Utc>) -> bool {
        self.0.get_or_default().silent().replace(now).is_none()
    }

    /// Returns the turn to ask `now`, once no other caller asks; none while the user is to be left in
    /// peace, or lets another question wait for longer than its reader did.
    pub(super) async fn turn(&self, now: DateTime<Utc>) -> Option<Turn> {
        let state = self.0.get_or_default();
        let is_asked_within =
            |limit| state.asked().is_some_and(|asked| (now - asked).abs() < limit);
        let patience = TimeDelta::from_std(PATIENCE).unwrap_or(PEACE);
        if state.turn.try_lock().is_err() && !is_asked_within(patience) {
            return None;
        }
        let turn = Arc::clone(&state.turn).lock_owned().await;
        if is_asked_within(PEACE) {
            return None;
        }
        *state.asked() = Some(now);
        Some(Turn { state, _turn: turn })
    }

    /// The keyring was seen unlocked: its user may be asked when it is locked again.
    pub(super) fn forget(&self) {
        if let Some(state) = self.0.get() {
            *state.asked() = None;
        }
    }
}

impl Turn {
    /// The question was answered `now`.
    pub(super) fn end(self, is_unlocked: bool, now: DateTime<Utc>) {
        *self.state.asked() = (!is_unlocked).then_some(now);
    }
}

impl State {
    fn asked(&self) -> MutexGuard<'_, Option<DateTime<Utc>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> MutexGuard<'_, Option<DateTime<Utc>>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
