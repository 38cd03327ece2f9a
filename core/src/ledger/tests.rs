//! What a ledger keeps, for how long, and what it makes of hostile content.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Knowledge, LARGEST_LEDGER, LONGEST_REST, Ledger, SHARED_REFUSAL};
use crate::claims::AccessTokenTimes;
use crate::clock::{Renewal, Skew, TokenTimes};
use crate::environment::{BootId, Moment};
use crate::process::Program;
use crate::secret::Fingerprint;
use crate::token_endpoint::RefusalReason;

const MINUTE: Duration = Duration::from_secs(60);

fn token(name: usize) -> Fingerprint {
    Fingerprint::of(&name.to_le_bytes())
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn read(json: &str) -> Ledger {
    Ledger::from_bytes(json.as_bytes()).expect("a ledger")
}

/// Returns a ledger that is as full as it can be.
fn full() -> Ledger {
    let mut ledger = Ledger::default();
    for login in 0..9 {
        for name in 0..33 {
            ledger.rotate(token(1000 * login + name), token(1000 * login + name + 1));
        }
    }
    for name in 0..20 {
        let reason = RefusalReason::EmptyRefreshToken;
        ledger.decline(token(name), now(), now());
        ledger.refuse(token(name), reason, now(), Some(SHARED_REFUSAL));
        ledger.take_rejected_rotation(now(), MINUTE);
    }
    for name in 0..9_usize {
        let boot = BootId::of(&name.to_le_bytes());
        let moment = Moment::new(now(), boot, Duration::from_secs(100 * 366 * 86_400));
        ledger.measure(Skew::measured(DateTime::UNIX_EPOCH, &moment, &moment));
        let claims = AccessTokenTimes { issued_at: Some(0), expires_at: Some(365 * 86_400) };
        ledger.renew(Renewal::new(token(name), &TokenTimes::new(claims, None), None, &moment));
        ledger.redeemed(token(name), now(), Program::named(u32::MAX, &"p".repeat(99)));
    }
    ledger.set_keyring_empty(true);
    ledger
}

#[test]
fn stays_small_and_survives_its_text_form() {
    let ledger = full();
    let bytes = ledger.to_bytes();
    assert!(bytes.len() <= LARGEST_LEDGER, "{}", bytes.len());
    assert_eq!(Ledger::from_bytes(&bytes).as_ref(), Some(&ledger));
    for torn in [&bytes[..bytes.len() / 2], b"", b"null", b"\xff"] {
        assert_eq!(Ledger::from_bytes(torn), None);
    }
}

#[test]
fn keeps_the_last_32_rotations_of_each_of_the_last_8_logins() {
    let ledger = full();
    let is_known = |login: usize, from: usize| {
        ledger.descends(token(1000 * login + 33), token(1000 * login + from))
    };
    for login in 1..9 {
        assert!(is_known(login, 1) && !is_known(login, 0), "{login}");
    }
    assert!(!is_known(0, 32), "the oldest login is forgotten");
}

#[test]
fn knows_the_programs_that_got_the_last_4_tokens_and_believes_no_odd_name() {
    let ledger = full();
    let known = |name| ledger.redeemer(token(name)).map(|redeemer| redeemer.by.to_string());
    assert_eq!(known(8), Some(format!("process {} ({})", u32::MAX, "p".repeat(32))));
    assert!(known(5).is_some() && known(4).is_none());
    let program = r#"{"pid":7,"name":"a\u001b[31m b\n"}"#;
    let hex = token(1).to_string();
    let odd = read(&format!(r#"{{"redeemers":[{{"token":"{hex}","at":0,"by":{program}}}]}}"#));
    let by = odd.redeemer(token(1)).map(|redeemer| redeemer.by.to_string());
    assert_eq!(by.as_deref(), Some("process 7 (a[31mb)"));
}

#[test]
fn rotations_of_other_programs_in_between_cost_no_memory_of_ours() {
    let mut ledger = Ledger::default();
    // Each token but the first of a pair is redeemed by a program that notes nothing.
    for name in 0..300 {
        ledger.rotate(token(2 * name), token(2 * name + 1));
        ledger.settle(token(2 * name + 1));
    }
    let is_known = |name: usize| ledger.about(token(2 * name), now()) != Knowledge::Nothing;
    assert!((44..300).all(is_known) && !is_known(43));
    assert_eq!(Ledger::from_bytes(&ledger.to_bytes()), Some(ledger));
}

#[test]
fn a_token_that_was_redeemed_was_stored_before() {
    let mut ledger = Ledger::default();
    // Its writer died before it noted that it had stored the pair.
    ledger.rotate(token(1), token(2));
    ledger.rotate(token(2), token(3));
    assert_eq!(ledger.about(token(1), now()), Knowledge::Spent { successor: token(2) });
    assert_eq!(ledger.about(token(2), now()), Knowledge::InDoubt);
}

#[test]
fn what_no_manager_writes_is_not_believed() {
    let rest = |at: i64, until: i64| {
        let token = token(1);
        let note = format!(r#""token": "{token}", "at": {at}, "answer": "rest", "until": {until}"#);
        read(&format!(r#"{{"notes": [{{{note}}}]}}"#)).about(token, now())
    };
    let at = now().timestamp_millis();
    let day = LONGEST_REST.num_milliseconds();
    assert!(matches!(rest(at, at + day), Knowledge::RestUntil { .. }));
    for (at, until) in [
        (at, at + day + 1),
        (at, 8_000_000_000_000_000),
        (-8_000_000_000_000_000, 8_000_000_000_000_000),
        (8_000_000_000_000_000, at + 1),
        (8_000_000_000_000_000, -8_000_000_000_000_000),
    ] {
        assert_eq!(rest(at, until), Knowledge::Nothing, "{at} {until}");
    }
    let for_good = format!(
        r#"{{"notes": [{{"token": "{}", "at": {at}, "answer": {{"refused": "reused"}}}}]}}"#,
        token(1)
    );
    assert_eq!(read(&for_good).about(token(1), now()), Knowledge::Nothing);
    for level in ["-1e300", "-0.0"] {
        let empty = read(&format!(r#"{{"bucket": {{"level": {level}, "at": {at}}}}}"#));
        assert!(!empty.may_rotate_rejected(now(), MINUTE));
        assert!(empty.may_rotate_rejected(now() + TimeDelta::seconds(60), MINUTE), "{level}");
    }
    let mut full = read(&format!(r#"{{"bucket": {{"level": 1e300, "at": {at}}}}}"#));
    for _ in 0..4 {
        full.take_rejected_rotation(now(), MINUTE);
    }
    assert!(!full.may_rotate_rejected(now(), MINUTE));
}

#[test]
fn more_than_a_manager_writes_is_cut_or_not_read() {
    let mut one = Ledger::default();
    one.rotate(token(1), token(2));
    let json = String::from_utf8(one.to_bytes()).expect("text");
    let (_, rest) = json.split_once("[[").expect("a login with a rotation");
    let (rotation, _) = rest.split_once(']').expect("its end");
    let lineage =
        |rotations: usize| format!(r#"{{"lineage":[[{}]]}}"#, vec![rotation; rotations].join(","));
    let most = lineage(340);
    assert!(most.len() <= LARGEST_LEDGER, "{}", most.len());
    let mut ledger = read(&most);
    ledger.take_rejected_rotation(now(), MINUTE);
    assert!(ledger.to_bytes().len() < 2048);
    assert_eq!(Ledger::from_bytes(&ledger.to_bytes()), Some(ledger));
    assert_eq!(Ledger::from_bytes(lineage(400).as_bytes()), None);
}

#[test]
fn descent_follows_every_successor_and_ends_in_a_cycle() {
    let mut ledger = Ledger::default();
    ledger.rotate(token(1), token(2));
    // Within a grace window the server has granted another successor.
    ledger.rotate(token(1), token(3));
    ledger.settle(token(3));
    ledger.rotate(token(3), token(4));
    for descendant in [1, 2, 3, 4] {
        assert!(ledger.descends(token(descendant), token(1)), "{descendant}");
    }
    assert_eq!(ledger.about(token(1), now()), Knowledge::Spent { successor: token(3) });
    assert!(!ledger.descends(token(1), token(4)) && !ledger.descends(token(4), token(2)));
    ledger.rotate(token(4), token(1));
    assert!(ledger.descends(token(3), token(4)));
    assert!(!ledger.descends(token(9), token(1)));
}

#[test]
fn a_token_is_spent_once_its_successor_is_settled() {
    let about = |ledger: &Ledger, name| ledger.about(token(name), now());
    let mut ledger = Ledger::default();
    ledger.rotate(token(1), token(2));
    assert_eq!(about(&ledger, 1), Knowledge::InDoubt, "its successor may be lost");
    ledger.settle(token(2));
    assert_eq!(about(&ledger, 1), Knowledge::Spent { successor: token(2) });
    assert_eq!(about(&ledger, 2), Knowledge::Nothing);
    ledger.rotate(token(5), token(6));
    assert_eq!(about(&ledger, 1), Knowledge::Spent { successor: token(2) }, "whatever comes next");
    ledger.rotate(token(2), token(1));
    ledger.settle(token(1));
    assert_eq!(about(&ledger, 2), Knowledge::Spent { successor: token(1) });
    assert_eq!(about(&ledger, 1), Knowledge::Nothing, "it was issued again");
}

#[test]
fn a_doubt_outlives_a_rest_and_ends_with_a_clear_answer() {
    let later = now() + TimeDelta::seconds(5);
    let mut doubted = Ledger::default();
    doubted.doubt(token(1), now());
    assert_eq!(doubted.about(token(1), now()), Knowledge::InDoubt);
    doubted.rest(token(1), now(), later);
    let rest = Knowledge::RestUntil { until: later, noted_at: now(), declines: None };
    assert_eq!(doubted.about(token(1), now()), rest);
    assert_eq!(doubted.about(token(1), later), Knowledge::InDoubt);
    let ends: [fn(&mut Ledger); 3] = [
        |ledger| ledger.clear_doubt(token(1)),
        |ledger| ledger.rotate(token(1), token(1)),
        |ledger| ledger.refuse(token(1), RefusalReason::Expired, now(), Some(SHARED_REFUSAL)),
    ];
    for end in ends {
        let mut ledger = doubted.clone();
        end(&mut ledger);
        assert_eq!(ledger.about(token(1), now() + SHARED_REFUSAL), Knowledge::Nothing);
    }
}

#[test]
fn declined_requests_are_counted_until_the_token_is_rotated_or_they_are_far_apart() {
    let mut ledger = Ledger::default();
    let counted = |ledger: &Ledger, at| ledger.declines(token(1), at).map(|row| row.times);
    let mut at = now();
    for times in 1..4 {
        // What is noted around a request that the server declines.
        ledger.doubt(token(1), at);
        ledger.clear_doubt(token(1));
        ledger.decline(token(1), at, at);
        assert_eq!(counted(&ledger, at), Some(times));
        at += TimeDelta::minutes(59);
    }
    assert_eq!(ledger.declines(token(1), at).map(|row| row.since), Some(now()));
    ledger.refuse(token(1), RefusalReason::Uncoded, at, Some(SHARED_REFUSAL));
    assert_eq!(counted(&ledger, at), Some(3));
    assert_eq!(Ledger::from_bytes(&ledger.to_bytes()).as_ref(), Some(&ledger));
    let mut rotated = ledger.clone();
    rotated.rotate(token(1), token(1));
    assert_eq!(counted(&rotated, at), None);
    at += TimeDelta::hours(1);
    ledger.decline(token(1), at, at);
    assert_eq!(counted(&ledger, at), Some(1));
}

#[test]
fn refusals_age_and_the_bucket_refills() {
    let mut ledger = Ledger::default();
    let reason = RefusalReason::Reused;
    ledger.refuse(token(1), reason, now(), Some(SHARED_REFUSAL));
    assert_eq!(ledger.about(token(1), now()), Knowledge::Refused(reason));
    assert_eq!(ledger.about(token(1), now() + TimeDelta::seconds(60)), Knowledge::Nothing);
    assert_eq!(ledger.about(token(1), now() - TimeDelta::hours(2)), Knowledge::Nothing);
    ledger.refuse(token(1), reason, now(), None);
    assert_eq!(ledger.about(token(1), now() + TimeDelta::days(9)), Knowledge::Refused(reason));
    for left in [true, true, true, false] {
        ledger.take_rejected_rotation(now(), MINUTE);
        assert_eq!(ledger.may_rotate_rejected(now(), MINUTE), left);
    }
    let later = now() + TimeDelta::seconds(61);
    assert!(ledger.may_rotate_rejected(later, MINUTE));
    assert!(!ledger.may_rotate_rejected(later, MINUTE * 2), "which takes longer");
}
