//! Many clients on few hosts: each host is a connection to the database, as a process has one.

use std::collections::BTreeSet;

use codex_auth_sdk::AuthManager;
use codex_auth_tests::fleet::Fleet;
use codex_auth_tests::postgres::Bouncer;
use codex_auth_tests::tier::sized;
use serde_json::{Value, json};

/// Lets all ask for a fresh token at once.
async fn round(managers: &[AuthManager]) {
    let asking: Vec<_> = managers
        .iter()
        .map(|manager| {
            let manager = manager.clone();
            tokio::spawn(async move { manager.fresh_auth().await })
        })
        .collect();
    let mut tokens = BTreeSet::new();
    for task in asking {
        let auth = task.await.expect("no panic").expect("fresh").expect("signed in");
        tokens.insert(auth.access_token().expect("a token").expose().to_owned());
    }
    assert_eq!(tokens.len(), 1, "all have one token");
}

/// Lets all need a new token at once, again and again.
async fn rotate(fleet: &Fleet, url: &str) {
    let managers = fleet.managers(url, sized(40, 200)).await;
    for rotation in 0..sized(3, 20) {
        if rotation > 0 {
            fleet.begin();
            for manager in &managers {
                assert!(manager.reload().await.expect("reloads"), "it is a new login");
            }
        }
        round(&managers).await;
        let stats = fleet.realm.stats();
        let counts = json!([stats["requests"], stats["grants"], stats["refused"]]);
        assert_eq!(counts, json!([1, 1, 0]), "{stats}");
    }
    fleet.assert_is_well();
}

/// Of a server for which a token that is presented twice is the end of the login.
fn config() -> Value {
    json!({"policy": "revoke_family", "grant_latency_ms": 50})
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_many_clients_on_few_hosts_redeem_each_token_once() {
    let Some(fleet) = Fleet::new(&config()) else { return };
    rotate(&fleet, &fleet.database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_many_clients_behind_a_pooler_redeem_each_token_once() {
    let Some(fleet) = Fleet::new(&config()) else { return };
    let Some(bouncer) = Bouncer::start(&fleet.database) else { return };
    rotate(&fleet, bouncer.url()).await;
}
