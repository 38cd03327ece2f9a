//! What a manager says of itself, for a bug report.

use tracing::instrument::WithSubscriber;

use super::auth_manager::AuthManager;
use crate::description::{
    Description, FORM, LedgerDescription, LoginDescription, StoreDescription, StorePlaces,
    TokenState,
};
use crate::ledger::Knowledge;
use crate::snapshot::CodexAuth;
use crate::tasks;

impl AuthManager {
    /// Describes this manager for a bug report: its store, the files and locks of the login and which
    /// processes hold these locks, the login in memory, and what is known of its refresh token.
    ///
    /// It has no token, no key and no email address. It reads no login and changes nothing, and never
    /// asks the user to unlock a keyring. What cannot be told within seconds is left out, and the
    /// description says why. Each new manager logs its description at `DEBUG`.
    ///
    /// ```
    /// # use codex_auth_sdk::storage::EphemeralStorage;
    /// # use codex_auth_sdk::AuthManager;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> codex_auth_sdk::Result<()> {
    /// # let storage = std::sync::Arc::new(EphemeralStorage::default());
    /// let manager = AuthManager::builder().storage(storage).build().await?;
    /// println!("{}", manager.describe().await);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn describe(&self) -> Description {
        let places = self.places().await;
        let state = &self.parts.state;
        let moment = state.environment.moment();
        let ahead = state.tokens.known_here().time().ahead(&moment);
        Description {
            version: FORM,
            library: env!("CARGO_PKG_VERSION"),
            described_at: state.now(),
            store: self.describe_store(),
            places,
            login: self.auth().map(|auth| self.describe_login(&auth)),
            refresh: state.options.refresh.as_str(),
            pinned_account_id: state.options.account_id.clone(),
            clock_ahead_seconds: ahead.map(|ahead| ahead.num_seconds()),
            pending_save: self.pending_save(),
        }
    }

    /// Logs the description of this manager, which was just opened. Its caller does not wait for
    /// that.
    pub(super) fn log_description(&self) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let manager = self.clone();
        let log = async move {
            let description = manager.describe().await.to_json();
            tracing::debug!(description, "a manager was opened");
        };
        let log = Box::pin(log.with_current_subscriber());
        // Without a thread for it there is no such line.
        self.parts.state.environment.spawner.spawn_read(log).unwrap_or_default();
    }

    async fn places(&self) -> StorePlaces {
        let state = &self.parts.state;
        let storage = std::sync::Arc::clone(&state.storage);
        let places = tasks::run_read(&state.environment, async move { storage.describe().await });
        places.await.unwrap_or_else(|error| StorePlaces {
            problem: Some(error.to_string()),
            ..StorePlaces::default()
        })
    }

    fn describe_store(&self) -> StoreDescription {
        let storage = &self.parts.state.storage;
        let holder = storage.holder();
        StoreDescription {
            kind: self.parts.origin.kind,
            chosen_by: self.parts.origin.by,
            location: storage.location(),
            holder: holder.as_ref().map(|holder| holder.kind.name()),
            holder_reason: holder.and_then(|holder| holder.reason),
        }
    }

    fn describe_login(&self, auth: &CodexAuth) -> LoginDescription {
        let state = &self.parts.state;
        let timing = state.timing(auth);
        let is_refreshed = auth.managed_tokens().is_some() && state.options.may_refresh();
        let due_in = timing.due_in().filter(|_| is_refreshed);
        LoginDescription {
            mode: auth.mode().as_str(),
            account_id: auth.account_id().map(str::to_owned),
            user_id: auth.user_id().map(str::to_owned),
            plan_type: auth.plan_type().map(str::to_owned),
            expires_at: auth.expires_at(),
            is_expired: timing.is_expired(),
            due_at: due_in.and_then(|wait| state.now().checked_add_signed(wait)),
            last_refresh: auth.last_refresh(),
            ledger: self.describe_ledger(auth),
        }
    }

    /// Describes what is known of the refresh token of `auth`; none if it has none.
    fn describe_ledger(&self, auth: &CodexAuth) -> Option<LedgerDescription> {
        let tokens = &self.parts.state.tokens;
        auth.managed_tokens().filter(|tokens| !tokens.refresh_token.is_empty())?;
        let known = tokens.about(auth, self.parts.state.now());
        let redeemer = tokens.redeemer(auth);
        let (state, refused, not_before) = match known {
            Knowledge::Nothing => (TokenState::Good, None, None),
            Knowledge::InDoubt => (TokenState::InDoubt, None, None),
            Knowledge::RestUntil { until, .. } => (TokenState::Resting, None, Some(until)),
            Knowledge::Spent { .. } => (TokenState::Spent, None, None),
            Knowledge::Refused(reason) => (TokenState::Refused, Some(reason.as_str()), None),
        };
        Some(LedgerDescription {
            refreshed_at: redeemer.as_ref().map(|redeemer| redeemer.at),
            refreshed_by: redeemer.map(|redeemer| redeemer.by),
            state,
            refused,
            not_before,
        })
    }
}
