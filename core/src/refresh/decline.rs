//! Requests that the server declines for a reason that is not known. They do not spend the refresh
//! token, and the login may still be good.

use std::time::Duration;

use chrono::TimeDelta;

use super::turn::Turn;
use crate::error::{Error, transient};
use crate::ledger::{Declines, LONGEST_REST};
use crate::secret::Secret;
use crate::token_endpoint::NoAnswer;

/// How long the token rests after the first of several declined requests, from a fifth of this to
/// all of it. After each further one it is twice as long.
const FIRST_REST: Duration = Duration::from_secs(5);

/// The longest rest, unless the server asks for a longer one.
const LONGEST_USUAL_REST: Duration = Duration::from_secs(30);

/// How far apart two answers must be so that both are believed: a proxy that is in the way may be
/// gone by then.
const APART: TimeDelta = TimeDelta::minutes(1);

/// Lets `token` rest after the server has declined a request with it: no process presents it for
/// that time. Returns the error of the caller. It tells of a sign-in once the server has declined
/// many requests in a row.
pub(super) async fn decline(turn: &Turn<'_>, token: &Secret, no_answer: &NoAnswer) -> Error {
    let (token, now) = (token.fingerprint(), turn.state.now());
    let row = Declines::and_one_more(turn.declines(token), now);
    let doublings = row.times.saturating_sub(1).min(4);
    let longest = LONGEST_USUAL_REST.min(FIRST_REST * 2_u32.pow(doublings));
    let usual = || longest / 5 + turn.state.environment.jitter(longest * 4 / 5);
    let rest = no_answer.retry_after.unwrap_or_else(usual);
    let wait = TimeDelta::from_std(rest).unwrap_or(LONGEST_REST).min(LONGEST_REST);
    turn.note(|ledger| ledger.decline(token, now, now + wait)).await;
    let mut text = no_answer.text();
    if row.are_many() && no_answer.advice.is_none() {
        let times = row.times;
        text.push_str(&format!(", {times} times in a row; a new sign-in may be needed"));
    }
    if row.is_first_of_many() {
        tracing::warn!(answer = text, "the token endpoint declines every refresh");
    }
    transient(text).with_retry_after(wait.to_std().unwrap_or_default())
}

/// Returns whether the server has declined a request with `token` before, long enough ago that the
/// reason is no accident.
pub(super) fn was_declined_before(turn: &Turn<'_>, token: &Secret) -> bool {
    let row = turn.declines(token.fingerprint());
    row.is_some_and(|row| turn.state.now() - row.since >= APART)
}
