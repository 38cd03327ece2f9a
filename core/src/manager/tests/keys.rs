//! Keys: they have no identity and never expire, and another program may put another in their place.

use std::time::Duration;

use serde_json::{Value, json};

use super::events::kinds;
use super::recover;
use super::world::World;
use crate::auth_dot_json::AuthDotJson;
use crate::secret::Secret;
use crate::{AuthManager, GiveUpReason, SyncOutcome, UnauthorizedRecoveryDecision};

const GIVE_UP: fn(GiveUpReason) -> UnauthorizedRecoveryDecision =
    UnauthorizedRecoveryDecision::GiveUp;

fn store(world: &World, record: &Value) {
    let record = AuthDotJson::parse(record.to_string().as_bytes()).expect("a record");
    world.store.memory.replace(Some(record));
}

fn bearer(manager: &AuthManager) -> Option<String> {
    Some(manager.auth()?.access_token()?.expose().to_owned())
}

#[tokio::test(start_paused = true)]
async fn g3_a_replaced_key_is_the_next_requests_and_not_that_of_the_refused_one() {
    for (old, new) in [
        (json!({"OPENAI_API_KEY": "sk-1"}), json!({"OPENAI_API_KEY": "sk-2"})),
        (json!({"personal_access_token": "at-1"}), json!({"personal_access_token": "at-2"})),
        (json!({"OPENAI_API_KEY": "sk-1"}), json!({"personal_access_token": "at-2"})),
        (json!({"bedrock_api_key": {"key": 1}}), json!({"bedrock_api_key": {"key": 2}})),
        (json!({"agent_identity": "a.b.c"}), json!({"agent_identity": "d.e.f"})),
    ] {
        for asks in [true, false] {
            let world = World::new();
            store(&world, &old);
            let manager = world.manager().await;
            let mut events = manager.subscribe();
            let auth = manager.auth().expect("a key");
            store(&world, &new);
            if asks {
                let decision = recover(&manager, &auth).await.expect("an outcome");
                assert_eq!(decision, GIVE_UP(GiveUpReason::IdentityMismatch), "{old} {new}");
            } else {
                assert!(manager.refresh_token(&auth).await.expect("an outcome").is_none());
            }
            let next = manager.auth().expect("a key");
            assert_eq!(**next.record(), *world.store.memory.record().expect("a record"));
            assert_eq!(kinds(&mut events).await, ["identity_changed"]);
            let outcome = manager.sync_from_storage(&auth).await.expect("read");
            assert_eq!(outcome, SyncOutcome::IdentityMismatch);
            let decision = recover(&manager, &next).await.expect("an outcome");
            assert_eq!(decision, GIVE_UP(GiveUpReason::NotRefreshable));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_401_of_a_key_that_is_still_stored_is_final_at_once() {
    let world = World::new();
    store(&world, &json!({"OPENAI_API_KEY": "sk-1"}));
    let manager = world.manager().await;
    let start = world.environment.clock.elapsed();
    let decision = recover(&manager, &manager.auth().expect("a key")).await.expect("an outcome");
    assert_eq!(decision, GIVE_UP(GiveUpReason::NotRefreshable));
    store(&world, &json!({"OPENAI_API_KEY": "sk-1", "from_the_future": 1}));
    let decision = recover(&manager, &manager.auth().expect("a key")).await.expect("an outcome");
    assert_eq!(decision, GIVE_UP(GiveUpReason::NotRefreshable), "the key is the same");
    assert_eq!(world.environment.clock.elapsed() - start, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_key_gives_way_to_a_login_and_a_logout() {
    let world = World::new();
    let login = world.store.memory.record().expect("a record");
    store(&world, &json!({"OPENAI_API_KEY": "sk-1"}));
    let manager = world.manager().await;
    let key = manager.auth().expect("a key");
    world.store.memory.replace(Some(AuthDotJson::clone(&login)));
    let decision = recover(&manager, &key).await.expect("an outcome");
    assert_eq!(decision, GIVE_UP(GiveUpReason::IdentityMismatch));
    assert_eq!(manager.auth().expect("signed in").mode().as_str(), "chatgpt");
    world.store.memory.replace(None);
    let decision = recover(&manager, &key).await.expect("an outcome");
    assert_eq!(decision, GIVE_UP(GiveUpReason::LoggedOut));
    assert_eq!(world.issuer.requests(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn g3_an_http_request_is_not_repeated_with_another_key() {
    let world = World::new();
    store(&world, &json!({"OPENAI_API_KEY": "sk-1"}));
    let manager = world.manager().await;
    let authorize = || manager.authorize("https://api.openai.com/v1/x", None).expect("known");
    let (refused, next) = (authorize(), authorize());
    let auth = refused.auth().await.expect("a key");
    store(&world, &json!({"OPENAI_API_KEY": "sk-2"}));
    assert!(refused.retry_auth(&auth, 401).await.expect("final").is_none());
    let auth = next.auth_if_ready().expect("allowed").expect("a key");
    assert_eq!(auth.access_token().map(Secret::expose), Some("sk-2"));
    assert_eq!(bearer(&manager).as_deref(), Some("sk-2"));
}
