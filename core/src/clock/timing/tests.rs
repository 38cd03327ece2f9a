//! Tokens of all ages by clocks of all kinds.

use std::time::Duration;

use chrono::DateTime;

use super::super::skew::Skew;
use super::*;
use crate::claims::AccessTokenTimes;
use crate::environment::BootId;

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A token by what is known of it; all in seconds.
#[derive(Default)]
struct Token {
    /// From `iat` to now and from now to `exp`, by the wall clock.
    age: Option<i64>,
    left: Option<i64>,
    /// Since `last_refresh`.
    stored: Option<i64>,
    /// How much the wall clock is ahead, where that is known.
    ahead: Option<i64>,
    /// How long ago it came by a redemption here, and how far the wall clock was set since.
    renewed: Option<(i64, i64)>,
    window: Option<i64>,
}

impl Token {
    fn timing<T>(&self, read: impl FnOnce(&Timing) -> T) -> T {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let moment = |ago: i64, step: i64| {
            let up = Duration::from_secs((20 * DAY - ago).unsigned_abs());
            Moment::new(at(NOW - ago - step), BootId::of(b"a"), up)
        };
        let claims = AccessTokenTimes {
            issued_at: self.age.map(|age| NOW - age),
            expires_at: self.left.map(|left| NOW + left),
        };
        let times = TokenTimes::new(claims, self.stored.map(|ago| at(NOW - ago)));
        let (now, token) = (moment(0, 0), Fingerprint::of(b"t"));
        let mut known = Timekeeping::default();
        if let Some(ahead) = self.ahead {
            known.measure(Skew::measured(at(NOW - ahead), &now, &now));
        }
        if let Some((ago, step)) = self.renewed {
            let (then, ahead) = (moment(ago, step), self.ahead.map(TimeDelta::seconds));
            known.renew(Renewal::new(token, &times, ahead, &then));
        }
        let window = self.window.map(TimeDelta::seconds);
        read(&Timing::new(times, Some(token), &known, &now, window))
    }
}

#[test]
fn a_token_is_fresh_due_or_expired() {
    use Freshness::{Due, Expired, Fresh};
    let token = |age, left| Token {
        age: Some(age),
        left: Some(left),
        stored: Some(age),
        ..Token::default()
    };
    let cases = [
        ("in its first half", token(100, 200), Fresh),
        ("in its second half", token(200, 100), Due),
        ("ten minutes before its end", token(DAY, 601), Fresh),
        ("in its last ten minutes", token(DAY, 600), Due),
        ("at its end", token(HOUR, 0), Expired),
        ("by another clock", Token { ahead: Some(-HOUR), ..token(0, HOUR) }, Fresh),
        ("ended by another clock", Token { ahead: Some(-HOUR), ..token(100, HOUR) }, Expired),
        ("good by another clock", Token { ahead: Some(2 * HOUR), ..token(HOUR, -HOUR) }, Fresh),
        ("just stored", Token { stored: Some(30), ..token(2 * HOUR, -HOUR) }, Due),
        ("stored for a minute", Token { stored: Some(60), ..token(2 * HOUR, -HOUR) }, Expired),
        ("too new", Token { stored: Some(4), ..token(2 * HOUR, -HOUR) }, Fresh),
        (
            "just stored, by a clock that is known",
            Token { stored: Some(30), ahead: Some(0), ..token(2 * HOUR, -HOUR) },
            Expired,
        ),
        (
            "renewed here, by no known clock",
            Token { renewed: Some((100, 0)), ..token(2 * HOUR, -HOUR) },
            Fresh,
        ),
        (
            "renewed here, and the clock was set since",
            Token { renewed: Some((100, 10 * HOUR)), ..token(2 * HOUR, -HOUR) },
            Due,
        ),
        ("below the floor", Token { renewed: Some((100, 0)), ..token(250, 50) }, Fresh),
        (
            "below the floor, with a window that is asked for",
            Token { renewed: Some((100, 0)), window: Some(250), ..token(100, 200) },
            Due,
        ),
        (
            "below the floor, with a window as wide as its life",
            Token { renewed: Some((100, 0)), window: Some(300), ..token(100, 200) },
            Fresh,
        ),
        ("an end before its start", Token { stored: Some(HOUR), ..token(-HOUR, 0) }, Fresh),
        ("a life of years", token(400 * DAY, 0), Due),
    ];
    for (what, token, freshness) in cases {
        assert_eq!(token.timing(Timing::freshness), freshness, "{what}");
    }
}

#[test]
fn without_an_end_the_age_of_the_record_counts() {
    let due_in = |stored, renewed| {
        let token = Token { stored, renewed, ..Token::default() };
        token.timing(|timing| timing.due_in().map(|wait| wait.num_days()))
    };
    assert_eq!(due_in(Some(DAY), None), Some(6));
    assert_eq!(due_in(Some(8 * DAY), None), Some(-1));
    assert_eq!(due_in(Some(-8 * DAY), None), Some(15), "from a clock that was ahead");
    assert_eq!(due_in(Some(8 * DAY), Some((DAY, 0))), Some(6), "the boot clock knows better");
    assert_eq!(due_in(None, None), None);
    assert!(!Token::default().timing(Timing::is_expired));
}

#[test]
fn a_token_has_aged_out_at_its_end_unless_it_was_stored_there() {
    for (age, left, stored, has_aged_out) in [
        (HOUR, 31, HOUR, false),
        (HOUR, 30, HOUR, true),
        (2 * HOUR, -HOUR, 2 * HOUR, true),
        (HOUR, 20, 5, false),
        (HOUR, -20, 5, false),
        (6, 5, 6, true),
        (4, 5, 4, false),
    ] {
        let times = (Some(age), Some(left), Some(stored));
        let token = Token { age: times.0, left: times.1, stored: times.2, ..Token::default() };
        assert_eq!(token.timing(Timing::has_aged_out), has_aged_out, "{age} {left} {stored}");
    }
}

#[test]
fn a_token_is_young_for_a_minute_or_half_its_life() {
    for (age, left, renewed, is_young) in [
        (40, HOUR, None, true),
        (70, HOUR, None, false),
        (40, 20, None, false),
        (-40, HOUR, None, true),
        (HOUR, HOUR, Some((40, 0)), true),
        (40, HOUR, Some((70, 0)), false),
    ] {
        let times = (Some(age), Some(left), Some(age));
        let token =
            Token { age: times.0, left: times.1, stored: times.2, renewed, ..Token::default() };
        assert_eq!(token.timing(Timing::is_young), is_young, "{age} {left} {renewed:?}");
    }
}
