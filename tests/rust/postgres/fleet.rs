//! Processes that share a row, and what befalls them and the database.

use codex_auth_tests::contender::Contender;
use codex_auth_tests::crash::signal;
use codex_auth_tests::fleet::{Fleet, assert_gets_through};
use codex_auth_tests::postgres::Stop;
use serde_json::json;

#[test]
fn g1_many_processes_redeem_each_token_once() {
    for policy in ["error", "revoke_family"] {
        let config = json!({"policy": policy, "grant_latency_ms": 50, "refusal_latency_ms": 50});
        let Some(fleet) = Fleet::new(&config) else { return };
        let mut contenders: Vec<_> = (0..16).map(|_| fleet.start()).collect();
        for rotations in 1..=4 {
            contenders.iter_mut().for_each(Contender::go);
            contenders.iter_mut().for_each(assert_gets_through);
            let stats = fleet.realm.stats();
            let redemptions = (&stats["requests"], &stats["grants"], &stats["refused"]);
            assert_eq!(redemptions, (&json!(rotations), &json!(rotations), &json!(0)), "{stats}");
            fleet.realm.run("kill_access", &json!({}));
        }
        fleet.assert_is_well();
    }
}

#[test]
fn g8_the_claim_of_a_killed_holder_ends() {
    // Before the token is spent, and when it is and the answer is lost.
    for (at, grace_ms) in [("arrival", 0), ("reply", 600_000)] {
        let Some(fleet) = Fleet::new(&json!({"grace_ms": grace_ms})) else { return };
        fleet.realm.run("hold", &json!({"at": at}));
        let mut victim = fleet.start();
        victim.go();
        drop(fleet.realm.wait(&json!({"held": 1})));
        signal::send("KILL", &[victim.process().id()]);
        let mut heirs = [fleet.start(), fleet.start()];
        heirs.iter_mut().for_each(Contender::go);
        heirs.iter_mut().for_each(assert_gets_through);
        fleet.realm.run("release", &json!({}));
        fleet.assert_is_well();
        let stats = fleet.realm.stats();
        assert_eq!(stats["requests"], 2, "the killed one's, and one of the heirs': {stats}");
    }
}

#[test]
fn a_holder_that_is_stopped_for_longer_than_its_claim_is_done_without() {
    let Some(fleet) = Fleet::new(&json!({"grace_ms": 600_000})) else { return };
    fleet.realm.run("hold", &json!({"at": "reply"}));
    let [mut stopped, mut other] = [fleet.start(), fleet.start()];
    stopped.go();
    drop(fleet.realm.wait(&json!({"held": 1})));
    signal::send("STOP", &[stopped.process().id()]);
    other.go();
    assert_gets_through(&mut other);
    fleet.realm.run("release", &json!({}));
    signal::send("CONT", &[stopped.process().id()]);
    assert_gets_through(&mut stopped);
    fleet.realm.run("kill_access", &json!({}));
    for contender in [&mut stopped, &mut other] {
        contender.go();
        assert_gets_through(contender);
    }
    fleet.assert_is_well();
}

#[test]
fn g4_a_pair_that_comes_while_the_database_is_away_is_saved_later() {
    for how in [Stop::Fast, Stop::Immediate] {
        let Some(mut fleet) = Fleet::new(&json!({})) else { return };
        fleet.realm.run("hold", &json!({"at": "reply"}));
        let [mut holder, mut other] = [fleet.start(), fleet.start()];
        holder.go();
        drop(fleet.realm.wait(&json!({"held": 1})));
        fleet.database.stop(how);
        fleet.realm.run("release", &json!({}));
        let answer = holder.answer();
        assert_eq!(answer["status"], 200, "{answer}");
        assert_eq!(answer["pending_save"], true, "{answer}");
        fleet.database.start_again();
        assert_eq!(holder.close()["closed"], true);
        other.go();
        assert_gets_through(&mut other);
        fleet.assert_is_well();
        assert_eq!(fleet.realm.stats()["requests"], 1);
    }
}

#[test]
fn g5_nothing_is_redeemed_while_the_database_is_away() {
    let Some(mut fleet) = Fleet::new(&json!({})) else { return };
    let mut contender = fleet.start();
    fleet.database.stop(Stop::Fast);
    contender.go();
    assert_eq!(contender.answer()["error"], "store_unavailable");
    fleet.database.start_again();
    fleet.database.run("ALTER DATABASE postgres SET default_transaction_read_only = on");
    let mut reader = fleet.start();
    reader.go();
    assert_eq!(reader.answer()["error"], "store_read_only");
    assert_eq!(fleet.realm.stats()["requests"], 0);
    fleet.database.run(
        "BEGIN READ WRITE; ALTER DATABASE postgres SET default_transaction_read_only = off; COMMIT",
    );
    let mut writer = fleet.start();
    writer.go();
    assert_gets_through(&mut writer);
    fleet.assert_is_well();
}

#[test]
fn g3_a_pair_resurrects_no_login_and_overwrites_no_newer_one() {
    for is_replaced in [false, true] {
        let Some(fleet) = Fleet::new(&json!({})) else { return };
        fleet.realm.run("hold", &json!({"at": "reply"}));
        let mut contender = fleet.start();
        contender.go();
        drop(fleet.realm.wait(&json!({"held": 1})));
        fleet.database.run("DELETE FROM codex_auth_sdk_logins");
        if is_replaced {
            fleet.sign_in("b", 0);
        }
        let before = fleet.stored();
        fleet.realm.run("release", &json!({}));
        drop(contender.answer());
        assert_eq!(contender.close()["closed"], true);
        assert_eq!(fleet.stored(), before);
    }
}

#[test]
fn sessions_that_are_ended_at_random_cost_no_login() {
    let Some(fleet) = Fleet::new(&json!({"grant_latency_ms": 20})) else { return };
    let mut contenders: Vec<_> = (0..4).map(|_| fleet.start()).collect();
    for _ in 0..4 {
        contenders.iter_mut().for_each(Contender::go);
        for _ in 0..5 {
            fleet.database.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = 'codex-auth-sdk' AND random() < 0.5",
            );
        }
        for contender in &mut contenders {
            let answer = contender.answer();
            // A note whose answer was lost keeps a request from being sent.
            let transient = ["store_unavailable", "refresh_transient"];
            let is_transient = transient.iter().any(|code| answer["error"] == *code);
            assert!(answer["status"] == 200 || is_transient, "{answer}");
            assert_eq!(contender.close()["closed"], true);
        }
        fleet.realm.run("kill_access", &json!({}));
    }
    for contender in &mut contenders {
        contender.go();
        assert_gets_through(contender);
    }
    fleet.assert_is_well();
}

#[test]
fn a_row_that_is_restored_is_put_right_by_a_program_that_has_adopted_its_successor() {
    let Some(fleet) = Fleet::new(&json!({})) else { return };
    fleet.database.run("CREATE TABLE backup AS SELECT * FROM codex_auth_sdk_logins");
    let [mut redeemer, mut adopter] = [fleet.start(), fleet.start()];
    for contender in [&mut redeemer, &mut adopter] {
        contender.go();
        assert_gets_through(contender);
    }
    drop(redeemer);
    let newer = fleet.stored();
    fleet.database.run(
        "DELETE FROM codex_auth_sdk_logins; INSERT INTO codex_auth_sdk_logins SELECT * FROM backup",
    );
    assert_ne!(fleet.stored(), newer, "the spent token is back");
    adopter.read();
    assert!(adopter.answer()["reads"].is_u64());
    let mut newcomer = fleet.start();
    newcomer.go();
    assert_gets_through(&mut newcomer);
    fleet.assert_is_well();
    assert_eq!(fleet.realm.stats()["requests"], 1);
}
