//! One independent issuer: its state, and a way to wait for a change of it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::config::Config;
use super::gate::HoldPoint;
use super::state::State;

pub(super) struct Realm {
    /// Where its endpoints are, without a slash at the end.
    pub(super) url: String,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Realm {
    pub(super) fn new(url: String, config: Config) -> Self {
        let state = Mutex::new(State::new(config, &url));
        let changed = watch::Sender::new(());
        Self { url, state, changed }
    }

    pub(super) fn reset(&self, config: Config) {
        self.update(|state| *state = State::new(config, &self.url));
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        // A handler that panicked has failed its test already; the others go on.
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
        result
    }

    pub(super) async fn wait_until(&self, holds: impl Fn(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        while !self.read(&holds) && changes.changed().await.is_ok() {}
    }

    /// Waits at the gate if a hold is set for this token.
    pub(super) async fn pass_gate(&self, at: HoldPoint, token: &str) {
        if let Some(id) = self.update(|state| state.gate.stop(at, token)) {
            self.wait_until(|state| state.gate.lets_through(id)).await;
            self.update(|state| state.gate.leave(id));
        }
    }
}
