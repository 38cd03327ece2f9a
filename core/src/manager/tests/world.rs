//! A machine, a store and an issuer in memory, which can fail, for tests under a paused clock.

mod delays;
mod faulty_store;
mod issuer;
mod machine;

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;

use self::faulty_store::FaultyStore;
use self::issuer::Issuer;
pub(super) use self::issuer::{Claims, Fault, LIFE};
use self::machine::Machine;
use crate::environment::{Clock, Environment};
use crate::paused::simulated;
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;
use crate::token_endpoint::TokenEndpoint;
use crate::{AuthManager, AuthManagerBuilder};

pub(super) struct World {
    pub(super) environment: Environment,
    pub(super) machine: Arc<Machine>,
    pub(super) store: Arc<FaultyStore>,
    pub(super) issuer: Arc<Issuer>,
}

impl World {
    /// A world in which account `acct-a` is signed in.
    pub(super) fn new() -> Self {
        let mut environment =
            simulated(DateTime::from_timestamp(1_800_000_000, 0).expect("a time"));
        let machine = Arc::new(Machine::new(environment.clock));
        environment.clock = Arc::clone(&machine) as Arc<dyn Clock>;
        let issuer = Arc::new(Issuer::new(Arc::clone(&machine)));
        let store = Arc::new(FaultyStore::default());
        let world = Self { environment, machine, store, issuer };
        world.sign_in("acct-a");
        world
    }

    pub(super) fn sign_in(&self, account: &str) {
        self.store.memory.replace(Some(self.issuer.login(account)));
    }

    pub(super) fn builder(&self) -> AuthManagerBuilder {
        AuthManager::builder()
            .storage(Arc::clone(&self.store) as Arc<dyn AuthStorage>)
            .token_endpoint(Arc::clone(&self.issuer) as Arc<dyn TokenEndpoint>)
            .environment(self.environment.clone())
    }

    pub(super) async fn manager(&self) -> AuthManager {
        self.builder().build().await.expect("a manager")
    }

    /// The stored refresh token.
    pub(super) fn stored(&self) -> Option<String> {
        let record = self.store.memory.record()?;
        Some(record.tokens.as_ref()?.refresh_token.expose().to_owned())
    }

    /// Whether the access token of `auth` has ended.
    pub(super) fn has_expired(&self, auth: &CodexAuth) -> bool {
        auth.expires_at().is_some_and(|end| end <= self.machine.true_time())
    }

    /// Lets `duration` pass.
    pub(super) async fn pass(&self, duration: Duration) {
        self.environment.clock.sleep(duration).await;
    }
}
