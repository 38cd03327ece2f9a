//! A manager in any runtime, in two, or in none, and futures that are dropped wherever they wait.

use std::time::Duration;

use codex_auth_sdk::{AuthManager, CodexAuth, UnauthorizedRecoveryDecision};
use codex_auth_tests::issuer::Issuer;
use codex_auth_tests::runtimes::drive::block_on;
use codex_auth_tests::runtimes::world::{Store, World, is_welcome};
use codex_auth_tests::runtimes::{chaos, dropped};
use codex_auth_tests::torture::Trial;
use codex_auth_tests::watchdog::Watchdog;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn assert_nothing_lost(trials: &[Trial]) {
    trials.iter().for_each(Trial::assert_nothing_lost);
}

async fn is_recovered(manager: AuthManager, auth: CodexAuth) -> bool {
    let recovery = manager.unauthorized_recovery();
    let decision = manager.recover_from_unauthorized(&auth, &recovery).await;
    decision.expect("recovered") == UnauthorizedRecoveryDecision::Retry
}

#[test]
fn g4_a_future_dropped_after_any_number_of_polls_loses_nothing() {
    let _watchdog = Watchdog::over("a dropped future");
    assert_nothing_lost(&dropped::after_every_poll());
}

#[test]
fn g4_a_future_dropped_in_the_middle_of_an_exchange_ends_its_waiting_only() {
    let _watchdog = Watchdog::over("a dropped future");
    assert_nothing_lost(&dropped::in_the_middle_of_an_exchange());
}

#[test]
fn g1_threads_of_every_runtime_that_drop_what_they_began() {
    let _watchdog = Watchdog::over("a thread of some runtime");
    assert_nothing_lost(&chaos::played(20, 1));
}

#[test]
fn g1_one_manager_serves_every_kind_of_runtime_at_once() {
    let _watchdog = Watchdog::over("a manager in many runtimes");
    let issuer = Issuer::start().expect("an issuer");
    let world = World::new(&issuer, "x", &json!({"grant_latency_ms": 20}));
    let (manager, _) = world.manager(Store::Ready);
    for rotations in 1..=4 {
        let auth = manager.auth().expect("signed in");
        let ask = || is_recovered(manager.clone(), auth.clone());
        let recovered: Vec<bool> = std::thread::scope(|scope| {
            let callers = [
                scope.spawn(|| block_on(ask())),
                scope.spawn(|| current_thread().block_on(ask())),
                scope.spawn(|| multi_thread().block_on(ask())),
                scope.spawn(|| {
                    let (one, other) = (multi_thread(), current_thread());
                    let joined = one.spawn(ask());
                    other.block_on(ask()) && one.block_on(joined).expect("no panic")
                }),
            ];
            callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
        });
        assert_eq!(recovered, [true; 4]);
        assert_eq!(world.realm.stats()["requests"], rotations);
    }
}

#[test]
fn g4_a_runtime_dropped_in_the_middle_of_an_exchange_loses_nothing() {
    let _watchdog = Watchdog::over("a dropped runtime");
    let issuer = Issuer::start().expect("an issuer");
    let runtimes: [fn() -> Runtime; 2] = [current_thread, multi_thread];
    for (name, runtime) in ["one", "many"].into_iter().zip(runtimes) {
        let world = World::new(&issuer, name, &json!({}));
        world.realm.run("hold", &json!({"at": "reply"}));
        let began = runtime();
        let manager = began.block_on(world.builder(Store::Slow).build()).expect("a manager");
        let auth = manager.auth().expect("signed in");
        let task = began.spawn(is_recovered(manager.clone(), auth));
        // A runtime of one thread runs its tasks while something is waited for on it.
        began.block_on(world.realm.call_async("wait", json!({"until": {"held": 1}})));
        drop(began);
        assert!(block_on(task).expect_err("its runtime is gone").is_cancelled(), "{name}");
        world.realm.run("release", &json!({}));
        assert!(runtime().block_on(manager.close(Duration::from_secs(60))), "{name}");
        assert_eq!(world.stored(), "refresh:a1", "{name}");
        let new = block_on(manager.fresh_auth()).expect("fresh").expect("signed in");
        assert!(is_welcome(&world.realm, &new), "{name}");
        assert_eq!(world.realm.stats()["requests"], 1, "{name}");
    }
}
