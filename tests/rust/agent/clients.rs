//! Programs with the library whose login is at the agent.

use std::time::Duration;

use codex_auth_sdk::{
    AuthManager, GiveUpReason, LogoutOptions, Secret, UnauthorizedRecoveryDecision,
};
use codex_auth_tests::contender::{Contender, Language};
use codex_auth_tests::tier::sized;
use serde_json::json;

use crate::scene::Scene;

/// Processes of these languages whose login is at the agent of `scene`.
pub(crate) fn contenders(
    scene: &Scene,
    languages: &[Language],
    processes: usize,
) -> Vec<Contender> {
    let options = json!({"store": scene.address()});
    let home = scene.path("elsewhere");
    std::fs::create_dir(&home).expect("created");
    let languages = languages.iter().copied().cycle().take(processes);
    let start = |language| Contender::start(language, &home, &scene.realm(), &options);
    let mut contenders: Vec<_> = languages.map(start).collect();
    contenders.iter_mut().for_each(Contender::wait_until_ready);
    contenders
}

/// Lets all make a request at once, which must come through.
pub(crate) fn go(contenders: &mut [Contender]) {
    contenders.iter_mut().for_each(Contender::go);
    for contender in contenders {
        let answer = contender.answer();
        assert_eq!(answer["status"], 200, "{:?}: {answer}", contender.language());
    }
}

fn rotate(languages: &[Language], processes: usize, rotations: u64) {
    let scene = Scene::with_login(&json!({"access_age_s": 3700}));
    let slow = json!({"policy": "revoke_family", "grant_latency_ms": 100});
    scene.realm().run("configure", &slow);
    let _agent = scene.agent(&[]);
    let mut contenders = contenders(&scene, languages, processes);
    for rotation in 1..=rotations {
        go(&mut contenders);
        let stats = scene.realm().stats();
        let expected = (&json!(rotation), &json!(rotation), &json!(0));
        assert_eq!((&stats["requests"], &stats["grants"], &stats["refused"]), expected, "{stats}");
        scene.realm().run("kill_access", &json!({}));
    }
}

#[test]
fn g1_processes_of_one_agent_cost_one_redemption_for_each_rotation() {
    rotate(&[Language::Rust], sized(16, 64), 4);
}

#[test]
fn g1_in_three_languages() {
    rotate(&Language::ALL, sized(9, 64), 4);
}

/// What the agent refreshes ahead of time is found by all, and nothing else is redeemed.
#[test]
fn g1_rotations_by_expiry_cost_one_redemption_each_in_three_languages() {
    let scene = Scene::new();
    let short = json!({"policy": "revoke_family", "access_ttl_ms": 14_000});
    scene.realm().run("configure", &short);
    scene.sign_in(&json!({"access_age_s": 0}));
    let _agent = scene.agent(&[]);
    let mut contenders = contenders(&scene, &Language::ALL, sized(3, 64));
    let mut rotations = 0;
    while rotations < sized(1, 10) {
        rotations += 1;
        let until = json!({"grants": {"$at_least": rotations}});
        scene.realm().run("wait", &json!({ "until": until, "timeout_ms": 60_000 }));
        go(&mut contenders);
    }
    let stats = scene.realm().stats();
    assert_eq!((&stats["requests"], &stats["refused"]), (&stats["grants"], &json!(0)), "{stats}");
    assert_eq!(stats["max_redemptions"], 1, "{stats}");
}

#[test]
fn requests_come_through_while_the_agent_is_killed_and_started_again() {
    restart(&[Language::Rust]);
}

#[test]
fn requests_come_through_while_the_agent_is_killed_and_started_again_in_three_languages() {
    restart(&Language::ALL);
}

/// An agent that is away is no matter as long as a token works.
fn restart(languages: &[Language]) {
    let scene = Scene::signed_in();
    let mut agent = scene.agent(&[]);
    let mut contenders = contenders(&scene, languages, 6);
    for _ in 0..3 {
        go(&mut contenders);
        agent.signal("KILL");
        drop(agent);
        go(&mut contenders);
        agent = scene.agent(&[]);
        // The next one is found by those that have a connection to the last one.
        scene.realm().run("kill_access", &json!({}));
        go(&mut contenders);
    }
    let stats = scene.realm().stats();
    assert_eq!((&stats["requests"], &stats["refused"]), (&json!(3), &json!(0)), "{stats}");
}

#[tokio::test]
async fn an_agent_that_is_gone_is_unavailable_and_a_token_that_works_is_used_on() {
    let scene = Scene::signed_in();
    let agent = scene.agent(&[]);
    let manager = scene.builder().build().await.expect("a manager");
    let auth = manager.fresh_auth().await.expect("no error").expect("a login");
    drop(agent);
    assert_eq!(manager.fresh_auth().await.expect("no error"), Some(auth.clone()));
    let recovery = manager.unauthorized_recovery();
    let gone = [
        manager.reload().await.expect_err("gone"),
        manager.recover_from_unauthorized(&auth, &recovery).await.expect_err("gone"),
        scene.builder().build().await.expect_err("gone"),
    ];
    for error in gone {
        assert_eq!((error.code(), error.is_transient()), ("store_unavailable", true), "{error}");
        let text = error.to_string();
        assert!(text.contains("run/agent.sock") && text.contains("codex-auth-sdk agent"), "{text}");
    }
    // The failure has not consumed the recovery.
    let _agent = scene.agent(&[]);
    scene.realm().run("kill_access", &json!({}));
    let decision = manager.recover_from_unauthorized(&auth, &recovery).await.expect("an agent");
    assert_eq!(decision, UnauthorizedRecoveryDecision::Retry);
    assert_ne!(manager.auth().expect("a login").access_token(), auth.access_token());
}

#[tokio::test]
async fn a_client_has_the_login_and_nothing_that_lasts() {
    let scene = Scene::with_login(&json!({"fedramp": true, "plan": "pro"}));
    let _agent = scene.agent(&[]);
    let there = AuthManager::builder().codex_home(scene.path("home")).issuer(scene.realm().url());
    let there = there.build().await.expect("a manager").auth().expect("a login");
    let manager = scene.builder().build().await.expect("a manager");
    let here = manager.auth().expect("a login");
    assert_eq!(here.headers().expect("headers"), there.headers().expect("headers"));
    assert_eq!(
        (here.user_id(), here.account_id(), here.plan_type(), here.expires_at()),
        (there.user_id(), there.account_id(), there.plan_type(), there.expires_at())
    );
    assert_eq!((here.last_refresh(), here.email()), (there.last_refresh(), None));
    let described = manager.describe().await;
    assert_eq!(described.store.kind, "agent");
    assert!(described.store.location.contains("run/agent.sock"), "{described}");
}

#[tokio::test]
async fn what_only_the_agent_may_do_is_not_supported() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let manager = scene.builder().issuer(scene.realm().url()).build().await.expect("a manager");
    let auth = manager.auth().expect("a login");
    let before = scene.stored();
    let mut kept = LogoutOptions::default();
    kept.revoke = false;
    let refused = [
        manager.refresh_token(&auth).await.expect_err("refused"),
        manager.logout(LogoutOptions::default()).await.expect_err("refused"),
        manager.logout(kept).await.expect_err("refused"),
        manager.login_with_api_key(&Secret::new("sk-test")).await.expect_err("refused"),
        manager.login_with_device_code(Default::default()).await.map(drop).expect_err("refused"),
    ];
    for error in refused {
        assert_eq!(
            (error.code(), error.is_transient()),
            ("not_supported_by_store", false),
            "{error}"
        );
    }
    assert_eq!((scene.stored(), scene.requests()), (before, 0));
    assert_eq!(manager.auth(), Some(auth));
}

#[tokio::test]
async fn a_client_without_leave_to_refresh_asks_for_nothing() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let never = "never".parse().expect("a mode");
    let manager = scene.builder().refresh(never).winner_wait(Duration::ZERO).build().await;
    let manager = manager.expect("a manager");
    let auth = manager.auth().expect("a login");
    scene.realm().run("kill_access", &json!({}));
    let recovery = manager.unauthorized_recovery();
    let decision = manager.recover_from_unauthorized(&auth, &recovery).await.expect("decided");
    assert!(matches!(decision, UnauthorizedRecoveryDecision::GiveUp(_)), "{decision:?}");
    assert_eq!(scene.requests(), 0);
}

#[tokio::test]
async fn g11_an_api_that_rejects_every_token_is_given_up() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let manager = scene.builder().build().await.expect("a manager");
    let reason = loop {
        let auth = manager.auth().expect("a login");
        let recovery = manager.unauthorized_recovery();
        match manager.recover_from_unauthorized(&auth, &recovery).await.expect("decided") {
            UnauthorizedRecoveryDecision::GiveUp(reason) => break reason,
            _ => assert_ne!(manager.auth(), Some(auth)),
        }
    };
    assert_eq!(reason, GiveUpReason::FreshTokenRejected);
    assert!(scene.requests() <= 5, "{}", scene.requests());
}

#[tokio::test]
async fn g3_a_request_of_another_login_is_given_up_and_the_next_one_has_the_new_one() {
    let scene = Scene::signed_in();
    let mut agent = scene.agent(&[]);
    let manager = scene.builder().build().await.expect("a manager");
    let auth = manager.auth().expect("a login");
    scene.sign_in(&json!({"name": "b"}));
    agent.wait_for("identity_changed");
    let recovery = manager.unauthorized_recovery();
    let decision = manager.recover_from_unauthorized(&auth, &recovery).await.expect("decided");
    let expected = UnauthorizedRecoveryDecision::GiveUp(GiveUpReason::IdentityMismatch);
    assert_eq!(decision, expected);
    assert_eq!(manager.auth().expect("a login").user_id(), Some("user-b"));
    std::fs::remove_file(scene.path("home/auth.json")).expect("removed");
    agent.wait_for("logged_out");
    assert!(manager.reload().await.expect("an agent"));
    assert_eq!(manager.auth(), None);
}

#[tokio::test]
async fn a_client_that_follows_the_store_adopts_what_the_agent_has() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let manager = scene.builder().build().await.expect("a manager");
    let mut events = manager.subscribe();
    let _following = manager.follow_store();
    scene.sign_in(&json!({"name": "b"}));
    let event = events.next().await.expect("the manager lives");
    assert_eq!(event.kind(), "identity_changed");
    assert_eq!(manager.auth().expect("a login").user_id(), Some("user-b"));
}

/// The clock of this machine is two hours ahead, as the agent has measured: a token that seems to have
/// ended has not.
#[tokio::test]
async fn a_client_knows_the_time_from_its_agent() {
    let scene = Scene::new();
    scene.realm().run("configure", &json!({"clock_offset_s": -7200}));
    scene.sign_in(&json!({"access_age_s": 3700}));
    let mut agent = scene.agent(&[]);
    assert_eq!(scene.get("/v1/token").await.status, 200);
    assert_eq!(scene.requests(), 1, "a refresh measures it");
    scene.sign_in(&json!({"name": "b", "access_age_s": 300}));
    agent.wait_for("identity_changed");
    let manager = scene.builder().build().await.expect("a manager");
    let auth = manager.fresh_auth().await.expect("a token that works").expect("a login");
    assert!(auth.expires_at().expect("a time") < chrono::Utc::now());
    assert_eq!((auth.user_id(), scene.requests()), (Some("user-b"), 1));
}

#[test]
fn the_command_uses_the_agent_too() {
    let scene = Scene::signed_in();
    let _agent = scene.agent(&[]);
    let store = scene.address();
    let run = |arguments: &[&str]| {
        let output = scene.command(&[&["--store", &store], arguments].concat()).output();
        output.expect("started")
    };
    let token = run(&["token"]);
    let expected = scene.stored()["tokens"]["access_token"].as_str().map(|it| format!("{it}\n"));
    assert_eq!(String::from_utf8(token.stdout).ok(), expected);
    scene.realm().run("kill_access", &json!({}));
    assert_eq!(run(&["refresh"]).status.code(), Some(0));
    assert_eq!(scene.requests(), 1);
    let logout = run(&["logout"]);
    assert_eq!(logout.status.code(), Some(1), "{logout:?}");
    assert_eq!(run(&["--store", "agent:nowhere", "token"]).status.code(), Some(2));
}
