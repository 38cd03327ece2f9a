//! One request's authorization, as HTTP integrations use it.

use std::sync::Arc;
use std::time::Duration;

use super::events::{kinds, told};
use super::world::{Fault, LIFE, World};
use crate::auth_dot_json::AuthDotJson;
use crate::snapshot::CodexAuth;
use crate::storage::EphemeralStorage;
use crate::token_endpoint::RefusalReason;
use crate::{AuthManager, Error, Event, MANAGED_API_KEY};

const CODEX: &str = "https://chatgpt.com/backend-api/codex/responses";

fn token(auth: &CodexAuth) -> &str {
    auth.access_token().expect("a bearer token").expose()
}

fn placeholder() -> String {
    format!("Bearer {MANAGED_API_KEY}")
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_again_twice_at_most() {
    let world = World::new();
    let manager = world.manager().await;
    let other = world.manager().await;
    let authorization = manager.authorize(CODEX, None).expect("authorized");
    let first = authorization.auth().await.expect("signed in");
    let rotated = other.refresh_token(&first).await.expect("refreshed").expect("refreshed");

    let second = authorization.retry_auth(&first, 401).await.expect("adopted").expect("again");
    assert_eq!(token(&second), token(&rotated));
    assert_eq!(world.issuer.requests(), (1, 1));
    world.pass(Duration::from_secs(120)).await;
    let third = authorization.retry_auth(&second, 401).await.expect("refreshed").expect("again");
    assert_ne!(token(&third), token(&second));
    assert_eq!(world.issuer.requests(), (2, 2));
    world.pass(Duration::from_secs(120)).await;
    assert!(authorization.retry_auth(&third, 401).await.expect("the end").is_none());
    assert_eq!(world.issuer.requests(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn only_401_is_recovered_from() {
    let world = World::new();
    let manager = world.manager().await;
    let authorization = manager.authorize(CODEX, None).expect("authorized");
    let auth = authorization.auth().await.expect("signed in");
    for status in [200, 400, 403, 407, 429, 500] {
        assert!(authorization.retry_auth(&auth, status).await.expect("final").is_none());
    }
    assert_eq!(world.issuer.requests(), (0, 0));
    assert!(authorization.retry_auth(&auth, 401).await.expect("refreshed").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_with_a_token_that_has_not_expired() {
    let world = World::new();
    let manager = world.manager().await;
    let authorization = manager.authorize(CODEX, None).expect("authorized");
    let now = authorization.auth_if_ready().expect("allowed").expect("fresh");
    world.pass(Duration::from_secs(LIFE.unsigned_abs() + 1)).await;
    assert!(authorization.auth_if_ready().expect("allowed").is_none(), "it has to wait");
    let later = authorization.auth().await.expect("refreshed");
    assert_ne!(token(&now), token(&later));
}

#[tokio::test(start_paused = true)]
async fn g3_a_request_is_not_sent_again_for_another_account() {
    let world = World::new();
    let manager = world.manager().await;
    let authorization = manager.authorize(CODEX, None).expect("authorized");
    let auth = authorization.auth().await.expect("signed in");
    world.sign_in("acct-b");
    assert!(authorization.retry_auth(&auth, 401).await.expect("final").is_none());
    assert_eq!(world.issuer.requests(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn g9_a_credential_goes_to_its_own_origin_only() {
    let manager = World::new().manager().await;
    for url in ["https://example.org/", "http://chatgpt.com/", "https://chatgpt.com:444/", "no url"]
    {
        assert!(manager.authorize(url, None).is_none(), "{url}");
        let authorization = manager.authorize(url, Some(placeholder().as_bytes())).expect(url);
        let error = authorization.auth().await.expect_err(url);
        assert_eq!(error.code(), "origin_not_allowed");
        assert!(authorization.auth_if_ready().is_err(), "{url}");
    }
    let of_an_api_key = manager.authorize("https://api.openai.com/v1", None).expect("known");
    assert_eq!(of_an_api_key.auth().await.expect_err("not its own").code(), "origin_not_allowed");
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_authorization_is_left_alone_and_the_placeholder_replaced() {
    let manager = World::new().manager().await;
    for own in ["Bearer sk-own", "Basic dTpw", "", "Bearer"] {
        assert!(manager.authorize(CODEX, Some(own.as_bytes())).is_none(), "{own}");
    }
    let ways =
        ["{}", "Bearer {}", "bearer {}", "Bearer\t{}", "Bearer Bearer {}", "Bearer {}, Bearer {}"];
    for placeholder in ways.map(|way| way.replace("{}", MANAGED_API_KEY)) {
        let authorization = manager.authorize(CODEX, Some(placeholder.as_bytes())).expect("ours");
        assert!(!token(&authorization.auth().await.expect("signed in")).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_signed_in_is_an_error_that_says_so() {
    let world = World::new();
    world.store.memory.replace(None);
    let manager = world.manager().await;
    let authorization = manager.authorize(CODEX, None).expect("authorized");
    assert!(authorization.auth_if_ready().expect("unknown").is_none());
    assert_eq!(authorization.auth().await.expect_err("signed out").code(), "login_required");
    world.sign_in("acct-a");
    assert!(authorization.auth().await.is_ok(), "a login is noticed");
}

#[tokio::test(start_paused = true)]
async fn a_dead_login_is_an_error_and_an_api_keys_401_is_final() {
    let world = World::new();
    let manager = world.manager().await;
    let authorization = manager.authorize(CODEX, None).expect("authorized");
    let auth = authorization.auth().await.expect("signed in");
    world.issuer.fail_with([Fault::Refused(RefusalReason::Expired)]);
    let error = authorization.retry_auth(&auth, 401).await.expect_err("dead");
    assert_eq!(error.code(), "refresh_token_expired");

    let key = AuthDotJson::parse(br#"{"OPENAI_API_KEY": "sk-1"}"#).expect("a record");
    let storage = Arc::new(EphemeralStorage::new(Some(key)));
    let manager = AuthManager::builder().storage(storage).build().await.expect("a manager");
    let authorization = manager.authorize("https://api.openai.com/v1/x", None).expect("known");
    let auth = authorization.auth().await.expect("signed in");
    assert!(authorization.retry_auth(&auth, 401).await.expect("final").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_left_out_is_told_once_for_each_origin() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    for url in ["https://gateway.example/v1", "https://gateway.example/v2", "", "%", CODEX] {
        assert_eq!(manager.authorize(url, None).is_some(), url == CODEX);
        assert!(
            manager.authorize(url, Some(b"Bearer own")).is_none(),
            "an own header is left alone"
        );
    }
    let told: Vec<_> = told(&mut events).await;
    let [Event::CredentialLeftOut(gateway), Event::CredentialLeftOut(unparsed)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!([gateway, unparsed].map(Error::code), ["origin_not_allowed"; 2]);
    let gateway = gateway.to_string();
    assert!(gateway.contains("https://gateway.example is"), "{gateway}");
    assert!(gateway.contains("allowed_origins"), "{gateway}");
    assert!(unparsed.to_string().contains("cannot be parsed"), "{unparsed}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_asks_many_hosts_is_told_of_16() {
    let world = World::new();
    let manager = world.manager().await;
    let mut events = manager.subscribe();
    for host in 0..40 {
        assert!(manager.authorize(&format!("https://host-{host}.example/"), None).is_none());
    }
    assert_eq!(kinds(&mut events).await, ["credential_left_out"; 16]);
}
