//! Hosts whose clocks are hours apart.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use codex_auth_sdk::environment::{BootId, BoxFuture, Clock, Environment, SystemClock};
use codex_auth_sdk::storage::{PostgresOptions, PostgresStorage};
use codex_auth_sdk::{AuthManager, Secret, UnauthorizedRecoveryDecision};
use codex_auth_tests::fleet::{Fleet, key};
use serde_json::json;

/// How many hosts have a wrong clock.
const WRONG: u64 = 2;

/// The clock of a host that is set wrong.
struct Wrong {
    clock: SystemClock,
    by: TimeDelta,
}

impl Clock for Wrong {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.by
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn boot_time(&self) -> Duration {
        self.clock.boot_time()
    }

    fn boot_id(&self) -> BootId {
        // Of a machine of its own.
        BootId::of(self.by.to_string().as_bytes())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}

/// A manager on a host whose clock is wrong `by` so many hours.
async fn manager(fleet: &Fleet, hours: i64) -> AuthManager {
    let clock = Arc::new(Wrong { clock: SystemClock::default(), by: TimeDelta::hours(hours) });
    let system = Environment::default();
    let environment = Environment::new(clock, system.spawner, system.random);
    let mut options = PostgresOptions::default();
    options.login = Some("a".to_owned());
    options.store_key = Some(Secret::new(key(1)));
    let url = Secret::new(format!("{}&application_name=host{hours}", fleet.database.url()));
    let storage = PostgresStorage::new(&url, options, environment.clone()).expect("options");
    AuthManager::builder()
        .storage(Arc::new(storage))
        .environment(environment)
        .token_url(format!("{}/oauth/token", fleet.realm.url()))
        .build()
        .await
        .expect("a manager")
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_hosts_whose_clocks_are_hours_apart_redeem_each_token_once() {
    let Some(fleet) = Fleet::new(&json!({"grant_latency_ms": 50})) else { return };
    let mut managers = Vec::new();
    for hours in [-2, 0, 2] {
        managers.push(manager(&fleet, hours).await);
    }
    for rotation in 1..=3_u64 {
        let asking: Vec<_> = managers
            .iter()
            .map(|manager| {
                let manager = manager.clone();
                tokio::spawn(async move {
                    let auth = manager.auth().expect("signed in");
                    let recovery = manager.unauthorized_recovery();
                    manager.recover_from_unauthorized(&auth, &recovery).await
                })
            })
            .collect();
        for task in asking {
            let decision = task.await.expect("no panic").expect("recovers");
            assert_eq!(decision, UnauthorizedRecoveryDecision::Retry);
        }
        for manager in &managers {
            assert!(manager.fresh_auth().await.expect("fresh").is_some());
        }
        let stats = fleet.realm.stats();
        // A clock that is wrong costs one redemption, by which it is measured.
        let requests = stats["requests"].as_u64().expect("a number");
        assert!((rotation..=rotation + WRONG).contains(&requests), "{stats}");
        assert_eq!(stats["refused"], 0, "{stats}");
    }
    fleet.assert_is_well();
}
