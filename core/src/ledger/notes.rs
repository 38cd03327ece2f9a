//! Notes about refresh tokens: the last answer of the token endpoint, or that there was none.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::declines::Declines;
use super::knowledge::Knowledge;
use crate::bounds::keep_last;
use crate::secret::Fingerprint;
use crate::token_endpoint::RefusalReason;

const MOST_NOTES: usize = 16;

/// How long other processes believe a refusal before one of them presents the token again.
pub(crate) const SHARED_REFUSAL: TimeDelta = TimeDelta::seconds(60);

/// The longest rest of a token. A server may ask for more, and a user with a good login would wait
/// for a fault of the server.
pub(crate) const LONGEST_REST: TimeDelta = TimeDelta::minutes(5);

/// Requests that the server declines further apart than this are not in a row.
const LONGEST_GAP: TimeDelta = TimeDelta::hours(1);

/// A note that is further in the future than this comes from a wrong clock.
const LARGEST_LEAD: TimeDelta = TimeDelta::seconds(60);

/// The notes about the tokens that were presented last, one for each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Notes(Vec<Note>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    token: Fingerprint,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    /// How long the answer holds; none if it holds for good.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_milliseconds_option"
    )]
    until: Option<DateTime<Utc>>,
    /// Whether a request with the token was never answered, so that the token may be spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    in_doubt: bool,
    /// The requests with the token that the server has declined in a row, whatever came after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declines: Option<Declines>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Refused(RefusalReason),
    Rest,
}

impl Note {
    fn about(&self, now: DateTime<Utc>) -> Knowledge {
        match self.answer.filter(|_| self.holds(now)) {
            Some(Answer::Refused(reason)) => Knowledge::Refused(reason),
            Some(Answer::Rest) => {
                let until = self.until.unwrap_or(now);
                Knowledge::RestUntil { until, noted_at: self.at, declines: self.declines }
            }
            None if self.in_doubt => Knowledge::InDoubt,
            None => Knowledge::Nothing,
        }
    }

    fn holds(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| self.at - now < LARGEST_LEAD && now < until)
    }

    /// Returns whether a manager may have stored this note: a note that it stores has an end.
    fn is_believable(&self) -> bool {
        let longest = match self.answer {
            Some(Answer::Refused(_)) => SHARED_REFUSAL,
            Some(Answer::Rest) => LONGEST_REST,
            None => return self.in_doubt || self.declines.is_some(),
        };
        self.until.is_some_and(|until| until - self.at <= longest)
    }
}

impl Notes {
    pub(super) fn about(&self, token: Fingerprint, now: DateTime<Utc>) -> Knowledge {
        self.find(token).map_or(Knowledge::Nothing, |note| note.about(now))
    }

    pub(super) fn doubt(&mut self, token: Fingerprint, at: DateTime<Utc>) {
        let declines = self.declines(token, at);
        self.put(Note { token, at, answer: None, until: None, in_doubt: true, declines });
    }

    pub(super) fn clear_doubt(&mut self, token: Fingerprint) {
        if let Some(note) = self.0.iter_mut().find(|note| note.token == token) {
            note.in_doubt = false;
        }
        let says_something =
            |note: &Note| note.in_doubt || note.answer.is_some() || note.declines.is_some();
        self.0.retain(says_something);
    }

    /// Notes a rest. A doubt about the token stays.
    pub(super) fn rest(&mut self, token: Fingerprint, at: DateTime<Utc>, until: DateTime<Utc>) {
        let declines = self.declines(token, at);
        self.put_rest(token, at, until, declines);
    }

    /// Notes a rest after one more request that the server has declined. A doubt about the token
    /// stays.
    pub(super) fn decline(&mut self, token: Fingerprint, at: DateTime<Utc>, until: DateTime<Utc>) {
        let declines = Declines::and_one_more(self.declines(token, at), at);
        self.put_rest(token, at, until, Some(declines));
    }

    fn put_rest(
        &mut self,
        token: Fingerprint,
        at: DateTime<Utc>,
        until: DateTime<Utc>,
        declines: Option<Declines>,
    ) {
        let in_doubt = self.find(token).is_some_and(|note| note.in_doubt);
        let (answer, until) = (Some(Answer::Rest), Some(until));
        self.put(Note { token, at, answer, until, in_doubt, declines });
    }

    /// Returns the requests with `token` that the server has declined in a row, at `now`.
    pub(super) fn declines(&self, token: Fingerprint, now: DateTime<Utc>) -> Option<Declines> {
        let note = self.find(token).filter(|note| (now - note.at).abs() < LONGEST_GAP)?;
        note.declines
    }

    pub(super) fn refuse(
        &mut self,
        token: Fingerprint,
        reason: RefusalReason,
        at: DateTime<Utc>,
        life: Option<TimeDelta>,
    ) {
        let (answer, until) = (Some(Answer::Refused(reason)), life.map(|life| at + life));
        let declines = self.declines(token, at);
        self.put(Note { token, at, answer, until, in_doubt: false, declines });
    }

    pub(super) fn forget(&mut self, token: Fingerprint) {
        self.0.retain(|note| note.token != token);
    }

    /// Takes over the notes of `other` about tokens of which there is none here.
    #[cfg(feature = "cli")]
    pub(super) fn learn(&mut self, other: &Self) {
        let unknown = other.0.iter().filter(|note| self.find(note.token).is_none());
        let unknown: Vec<_> = unknown.copied().collect();
        self.0.extend(unknown);
        keep_last(&mut self.0, MOST_NOTES);
    }

    pub(super) fn believable(mut self) -> Self {
        self.0.retain(Note::is_believable);
        keep_last(&mut self.0, MOST_NOTES);
        self
    }

    #[cfg(feature = "test-util")]
    pub(super) fn tokens(&self) -> impl Iterator<Item = Fingerprint> {
        self.0.iter().map(|note| note.token)
    }

    fn find(&self, token: Fingerprint) -> Option<&Note> {
        self.0.iter().find(|note| note.token == token)
    }

    fn put(&mut self, note: Note) {
        self.forget(note.token);
        self.0.push(note);
        keep_last(&mut self.0, MOST_NOTES);
    }
}
