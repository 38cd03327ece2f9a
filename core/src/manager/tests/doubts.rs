//! A request that was never answered: what is known of it, whatever happens next, and what is done
//! because of it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::world::{Fault, World};
use super::{RETRY, recover, refresh_token, start_recovery};
use crate::AuthManager;
use crate::ledger::Knowledge;
use crate::storage::AuthStorage;
use crate::token_endpoint::RefusalReason;

/// What comes between a request that was never answered and the next one.
type Trouble = fn(&World, bool);

#[tokio::test(start_paused = true)]
async fn a_doubt_is_known_to_all_whatever_ends_the_attempt() {
    let troubles: [(Trouble, &str); 2] = [
        (|world, is_on| world.store.is_unreadable.store(is_on, Ordering::SeqCst), "unreadable"),
        (|world, is_on| world.store.lock_is_lost.store(is_on, Ordering::SeqCst), "lock lost"),
    ];
    for (trouble, what) in troubles {
        let world = World::new();
        let managers = [world.manager().await, world.manager().await];
        let auth = managers[0].auth().expect("signed in");
        world.issuer.fail_with([Fault::Lost]);
        let waiting = start_recovery(&managers[0], &auth);
        world.pass(Duration::from_millis(110)).await;
        trouble(&world, true);
        waiting.await.expect("no panic").expect_err(what);
        trouble(&world, false);
        for manager in &managers {
            let error = recover(manager, &auth).await.expect_err("spent");
            assert_eq!(error.reason(), Some("outcome_unknown"), "{what}");
        }
        assert_eq!(world.issuer.requests(), (2, 1), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_known_to_all_also_where_time_runs_out_after_it() {
    let world = World::new();
    let builder = || world.builder().refresh_deadline(Duration::from_secs(8));
    let managers =
        [builder().build().await.expect("a manager"), builder().build().await.expect("a manager")];
    let auth = managers[0].auth().expect("signed in");
    world.issuer.set_latency(Duration::from_millis(5999));
    world.issuer.fail_with([Fault::Lost]);
    // The pause after it is cut short by a machine that sleeps.
    let error = recover(&managers[0], &auth).await.expect_err("no time is left");
    assert!(error.is_transient());
    world.issuer.set_latency(Duration::from_millis(100));
    world.pass(Duration::from_secs(10)).await;
    let error = recover(&managers[1], &auth).await.expect_err("spent");
    assert_eq!(error.reason(), Some("outcome_unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_token_in_doubt_is_not_presented_while_the_access_token_is_usable() {
    let world = World::new();
    let manager = world.manager().await;
    world.pass(Duration::from_secs(3600 - 599)).await;
    world.issuer.fail_with([Fault::Unanswered, Fault::Unanswered]);
    assert!(manager.fresh_auth().await.expect("still valid").is_some());
    assert!(manager.close(Duration::from_secs(10)).await);
    assert_eq!(world.issuer.requests().0, 2);
    let other = world.manager().await;
    let _guardian = other.keep_fresh();
    for _ in 0..9 {
        for manager in [&manager, &other] {
            assert!(manager.fresh_auth().await.expect("still valid").is_some());
        }
        world.pass(Duration::from_secs(60)).await;
    }
    assert_eq!(world.issuer.requests().0, 2, "neither of them presents it ahead of time");
    assert_eq!(other.stats().failures, 1, "which is told once");
    world.pass(Duration::from_secs(60)).await;
    let auth = manager.fresh_auth().await.expect("presented once more").expect("signed in");
    assert!(!world.has_expired(&auth));
    assert_eq!(world.issuer.requests(), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_access_token_is_no_reason_to_spare_a_token_in_doubt() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::Unanswered, Fault::Unanswered]);
    recover(&manager, &auth).await.expect_err("no answer");
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_changes_nothing_of_what_a_server_says_clearly() {
    for (reason, code) in [
        (RefusalReason::Expired, "refresh_token_expired"),
        (RefusalReason::Invalidated, "refresh_token_invalidated"),
    ] {
        let world = World::new();
        let manager = world.manager().await;
        let auth = manager.auth().expect("signed in");
        world.issuer.fail_with([Fault::Unanswered, Fault::Refused(reason)]);
        let error = recover(&manager, &auth).await.expect_err("refused");
        assert_eq!((error.code(), error.reason()), (code, Some(reason.as_str())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clear_answer_ends_a_doubt() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::PutOff(100)]);
    recover(&manager, &auth).await.expect_err("put off");
    let token = auth.refresh_fingerprint().expect("a login");
    world.pass(Duration::from_secs(100)).await;
    let now = world.environment.clock.now();
    assert_eq!(world.store.ledger().about(token, now), Knowledge::Nothing);
}

#[tokio::test(start_paused = true)]
async fn each_step_is_noted_before_the_next_one_begins() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let token = auth.refresh_fingerprint().expect("a login");
    let now = world.environment.clock.now();
    let notes = Arc::new(Mutex::new(Vec::new()));
    let (heard, issuer, asked) = (Arc::clone(&notes), Arc::clone(&world.issuer), manager.clone());
    let memory = world.store.memory.clone();
    let stored = memory.record();
    world.store.on_note(move |ledger| {
        let is_saved = memory.record() != stored;
        let known = match ledger.about(token, now) {
            Knowledge::Spent { .. } => "spent",
            Knowledge::InDoubt => "in doubt",
            _ => "nothing",
        };
        let steps = (known, issuer.requests().0, asked.pending_save(), is_saved);
        heard.lock().expect("no panic").push(steps);
    });
    recover(&manager, &auth).await.expect("recovered");
    let notes = notes.lock().expect("no panic");
    assert_eq!(
        notes[notes.len() - 3..],
        [
            ("in doubt", 0, false, false),
            // Rotated: the pair is remembered, and not saved.
            ("in doubt", 1, true, false),
            ("spent", 1, false, true),
        ]
    );
}

/// Has the holder of the lock die there.
type Death = fn(&World);

#[tokio::test(start_paused = true)]
async fn g8_a_death_at_any_step_of_a_redemption_costs_no_more_than_its_reply() {
    let deaths: [(Death, &str, bool); 6] = [
        (|world| world.issuer.fail_with([Fault::Swallowed]), "in doubt", false),
        (|world| world.issuer.set_latency(Duration::from_secs(3600)), "request sent", true),
        (die_at_the_second_note, "in memory, not noted", true),
        (|world| hang_commits(world, 0, true), "rotated, unsaved", true),
        (
            |world| {
                world.store.leaves_records.store(true, Ordering::SeqCst);
                hang_commits(world, 0, true);
            },
            "in a temp file",
            false,
        ),
        (|world| hang_commits(world, 1, true), "saved, not settled", false),
    ];
    for (death, step, is_reply_lost) in deaths {
        for grants_again in [false, true] {
            let world = World::new();
            let (victim, heir) = (world.manager().await, world.manager().await);
            let auth = victim.auth().expect("signed in");
            death(&world);
            let _dead = start_recovery(&victim, &auth);
            world.pass(Duration::from_secs(1)).await;
            world.store.kill_holder();
            world.issuer.set_latency(Duration::from_millis(100));
            [0, 1].into_iter().for_each(|part| hang_commits(&world, part, false));
            if grants_again {
                world.issuer.grant_again();
            }
            let context = format!("{step}, grants again: {grants_again}");
            let outcome = recover(&heir, &auth).await;
            if is_reply_lost && !grants_again {
                let error = outcome.expect_err("the reply is lost");
                assert_eq!(error.reason(), Some("outcome_unknown"), "{context}");
                continue;
            }
            assert_eq!(outcome.expect("recovered"), RETRY, "{context}");
            assert_good(&world, &heir, &context);
            let requests = 1 + usize::from(is_reply_lost);
            assert_eq!(world.issuer.requests().0, requests, "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g1_what_a_process_left_is_saved_only_if_it_is_the_successor_of_the_stored_token() {
    let world = World::new();
    let (victim, heir) = (world.manager().await, world.manager().await);
    let auth = victim.auth().expect("signed in");
    world.store.leaves_records.store(true, Ordering::SeqCst);
    hang_commits(&world, 0, true);
    let _dead = start_recovery(&victim, &auth);
    world.pass(Duration::from_secs(1)).await;
    world.store.kill_holder();
    hang_commits(&world, 0, false);
    *world.store.left.lock().expect("no panic") = Some(world.issuer.login("acct-a"));
    let error = recover(&heir, &auth).await.expect_err("the reply is lost");
    assert_eq!(error.reason(), Some("outcome_unknown"));
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&auth)));
}

/// Has the process die before its second note, that the token is rotated, is written.
fn die_at_the_second_note(world: &World) {
    hang_commits(world, 0, true);
    let (store, mut notes) = (Arc::clone(&world.store), 0);
    world.store.on_note(move |_| {
        notes += 1;
        if notes == 2 {
            store.kill_holder();
        }
    });
}

fn hang_commits(world: &World, part: usize, is_on: bool) {
    world.store.hanging_commits[part].store(is_on, Ordering::SeqCst);
}

/// The store and the manager have one pair, which is good.
fn assert_good(world: &World, manager: &AuthManager, context: &str) {
    let auth = manager.auth().expect("signed in");
    assert_eq!(world.stored().as_deref(), Some(refresh_token(&auth)), "{context}");
    assert!(world.issuer.is_live(refresh_token(&auth)), "{context}");
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_remembered_where_the_stored_ledger_cannot_be_written() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.failing_notes.store(true, Ordering::SeqCst);
    world.issuer.fail_with([Fault::Lost, Fault::Unanswered]);
    assert!(recover(&manager, &auth).await.expect_err("no answer").is_transient());
    let error = recover(&manager, &auth).await.expect_err("spent");
    assert_eq!(error.reason(), Some("outcome_unknown"));
    world.sign_in("acct-a");
    let auth = world.manager().await.auth().expect("signed in");
    assert_eq!(recover(&manager, &auth).await.expect("it is no error"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn a_token_in_doubt_is_presented_once_more_and_then_rests() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::Unanswered, Fault::Unanswered, Fault::Unanswered]);
    for requests in [2, 3] {
        assert!(recover(&manager, &auth).await.expect_err("no answer").is_transient());
        assert_eq!(world.issuer.requests().0, requests);
        world.pass(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_not_yet_believed_leaves_no_doubt() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::Refused(RefusalReason::Reused)]);
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(50)).await;
    world.store.is_unreadable.store(true, Ordering::SeqCst);
    waiting.await.expect("no panic").expect_err("nothing shows that there is no winner");
    let token = auth.refresh_fingerprint().expect("a login");
    let now = world.environment.clock.now();
    assert_eq!(world.store.ledger().about(token, now), Knowledge::Nothing);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_under_a_lock_that_is_worth_nothing_without_the_note() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.store.lock_needs_notes.store(true, Ordering::SeqCst);
    world.store.failing_notes.store(true, Ordering::SeqCst);
    let error = recover(&manager, &auth).await.expect_err("the lock is lost");
    assert!(error.is_transient(), "{error}");
    assert_eq!(world.issuer.requests(), (0, 0));
    world.store.failing_notes.store(false, Ordering::SeqCst);
    assert_eq!(recover(&manager, &auth).await.expect("refreshed"), RETRY);
    let token = auth.managed_tokens().expect("a login").refresh_token.fingerprint();
    let ledger = world.store.ledger();
    assert!(matches!(ledger.about(token, world.environment.clock.now()), Knowledge::Spent { .. }));
}
