//! The small record in the refresh lock's own file: what the holders of the lock tell each other.
//! It names tokens by fingerprint and holds no secret.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::secret::Fingerprint;
use crate::token_endpoint::RefusalReason;

/// The most that a sidecar takes.
pub(crate) const LARGEST_SIDECAR: usize = 4096;

const MOST_VERDICTS: usize = 8;
const MOST_LINEAGE: usize = 32;

/// How long other processes believe that a token is refused before one of them asks again.
const VERDICT_LIFE: TimeDelta = TimeDelta::seconds(60);

/// Nobody is put off for longer.
pub(crate) const LONGEST_WAIT: TimeDelta = TimeDelta::hours(24);

/// Rotations that young rejections may cause in a burst; one more a minute after that.
const BUCKET_SIZE: f64 = 4.0;

/// What the holders of a refresh lock know about their store's tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sidecar {
    verdicts: Vec<Verdict>,
    bucket: Bucket,
    /// Pairs of a redeemed refresh token and the one that took its place.
    lineage: Vec<(Fingerprint, Fingerprint)>,
    /// The redeemed token whose successor the store may not have yet.
    unsaved: Option<Fingerprint>,
    /// Whether the keyring was last seen without a login, where the store has a keyring.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_keyring_empty: bool,
}

/// What the token endpoint last said about one refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) token: Fingerprint,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub(crate) at: DateTime<Utc>,
    pub(crate) answer: Answer,
    /// Whether a request with the token was never answered, so that it may be spent.
    #[serde(default)]
    pub(crate) in_doubt: bool,
}

impl Verdict {
    fn is_believable(&self) -> bool {
        match self.answer {
            Answer::Refused(_) => true,
            Answer::NotBefore(time) => time - self.at <= LONGEST_WAIT,
        }
    }
}

/// See [`Verdict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It is refused for good.
    Refused(RefusalReason),
    /// No clear answer; ask again after this time.
    NotBefore(#[serde(with = "chrono::serde::ts_milliseconds")] DateTime<Utc>),
}

/// Rotations left for tokens that were rejected young.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Bucket {
    level: f64,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    at: DateTime<Utc>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { level: BUCKET_SIZE, at: DateTime::UNIX_EPOCH }
    }
}

impl Sidecar {
    /// Reads what [`to_bytes`](Self::to_bytes) wrote; none if it is anything else. That counts as
    /// empty, unless somebody may be writing it right now.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > LARGEST_SIDECAR {
            return None;
        }
        // What follows is left of a longer one, whose end a writer did not live to cut off.
        let sidecar: Self = serde_json::Deserializer::from_slice(bytes).into_iter().next()?.ok()?;
        Some(sidecar.believable())
    }

    /// This without what none of us writes: whoever may write to the folder may have written it, and
    /// it must not keep anybody out for long.
    fn believable(mut self) -> Self {
        self.verdicts.retain(Verdict::is_believable);
        drop_first(&mut self.verdicts, MOST_VERDICTS);
        drop_first(&mut self.lineage, MOST_LINEAGE);
        self.bucket.level = self.bucket.level.clamp(0.0, BUCKET_SIZE);
        self
    }

    /// At most 4 KiB of JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = serde_json::to_vec(self).expect("a sidecar is always valid JSON");
        debug_assert!(bytes.len() <= LARGEST_SIDECAR, "{} bytes", bytes.len());
        bytes
    }

    /// What is known of `token`, unless it is too old to go by, or from a clock that ran ahead.
    pub(crate) fn verdict(&self, token: Fingerprint, now: DateTime<Utc>) -> Option<Answer> {
        let verdict = self.verdicts.iter().find(|verdict| verdict.token == token)?;
        let age = now - verdict.at;
        let life = match verdict.answer {
            Answer::Refused(_) => VERDICT_LIFE,
            Answer::NotBefore(time) => VERDICT_LIFE.max(time - verdict.at),
        };
        (-VERDICT_LIFE < age && age < life).then_some(verdict.answer)
    }

    pub(crate) fn set_verdict(&mut self, verdict: Verdict) {
        self.verdicts.retain(|known| known.token != verdict.token);
        self.verdicts.push(verdict);
        drop_first(&mut self.verdicts, MOST_VERDICTS);
    }

    /// Whether what is known of `token` was learned `since` then.
    pub(crate) fn is_newer(&self, token: Fingerprint, since: DateTime<Utc>) -> bool {
        self.verdicts.iter().any(|verdict| verdict.token == token && verdict.at > since)
    }

    /// Whether `token` may be spent by a request that was never answered.
    pub(crate) fn is_in_doubt(&self, token: Fingerprint) -> bool {
        self.verdicts.iter().any(|verdict| verdict.token == token && verdict.in_doubt)
    }

    /// Notes that `new` took the place of `old`, and is still to be saved.
    pub(crate) fn add_rotation(&mut self, old: Fingerprint, new: Fingerprint) {
        self.verdicts.retain(|known| known.token != old);
        if old != new {
            self.lineage.retain(|pair| *pair != (old, new));
            self.lineage.push((old, new));
            drop_first(&mut self.lineage, MOST_LINEAGE);
            self.unsaved = Some(old);
        }
    }

    /// Notes that the last pair is saved, or of no use any more.
    pub(crate) fn settle(&mut self) {
        self.unsaved = None;
    }

    /// Whether `token` was redeemed, and not by a holder that may have died before it saved what it
    /// got: then asking once more may save the login.
    pub(crate) fn is_spent(&self, token: Fingerprint) -> bool {
        let last = self.lineage.iter().rfind(|(old, new)| [*old, *new].contains(&token));
        last.is_some_and(|(old, _)| *old == token) && self.unsaved != Some(token)
    }

    /// Whether `token` came from `ancestor` by rotations that are noted here, or is the same.
    pub(crate) fn descends(&self, token: Fingerprint, ancestor: Fingerprint) -> bool {
        let mut generation = ancestor;
        // Every pair can be walked once at most.
        for _ in 0..=self.lineage.len() {
            if generation == token {
                return true;
            }
            let Some((_, next)) = self.lineage.iter().find(|(old, _)| *old == generation) else {
                return false;
            };
            generation = *next;
        }
        false
    }

    /// The tokens that are named here.
    #[cfg(feature = "test-util")]
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Fingerprint> {
        let pairs = self.lineage.iter().flat_map(|(old, new)| [*old, *new]);
        self.verdicts.iter().map(|verdict| verdict.token).chain(pairs)
    }

    /// Whether the keyring held no login when a holder of the lock last saw it.
    pub(crate) fn is_keyring_empty(&self) -> bool {
        self.is_keyring_empty
    }

    pub(crate) fn set_keyring_empty(&mut self, is_empty: bool) {
        self.is_keyring_empty = is_empty;
    }

    /// Whether one more rotation may be caused by a young rejection.
    pub(crate) fn may_rotate_young(&self, now: DateTime<Utc>) -> bool {
        self.bucket.level_at(now) >= 1.0
    }

    pub(crate) fn take_young_rotation(&mut self, now: DateTime<Utc>) {
        self.bucket = Bucket { level: (self.bucket.level_at(now) - 1.0).max(0.0), at: now };
    }
}

impl Bucket {
    fn level_at(&self, now: DateTime<Utc>) -> f64 {
        // A time that is still to come is from a clock that ran ahead.
        let passed = (now - self.at).abs().to_std().unwrap_or(Duration::ZERO);
        (self.level + passed.as_secs_f64() / 60.0).min(BUCKET_SIZE)
    }
}

fn drop_first<T>(list: &mut Vec<T>, most: usize) {
    list.drain(..list.len().saturating_sub(most));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: usize) -> Fingerprint {
        Fingerprint::of(&name.to_le_bytes())
    }

    #[test]
    fn stays_small_and_survives_its_text_form() {
        let now = Utc::now();
        let mut sidecar = Sidecar::default();
        for name in 0..100 {
            sidecar.add_rotation(token(name), token(name + 1));
            let answer = Answer::Refused(RefusalReason::EmptyRefreshToken);
            sidecar.set_verdict(Verdict {
                token: token(name + 1000),
                at: now,
                answer,
                in_doubt: false,
            });
            sidecar.take_young_rotation(now);
        }
        let bytes = sidecar.to_bytes();
        assert!(bytes.len() <= LARGEST_SIDECAR, "{}", bytes.len());
        let read = Sidecar::from_bytes(&bytes).expect("what was written");
        assert_eq!(read.lineage, sidecar.lineage);
        assert_eq!(read.verdicts.len(), MOST_VERDICTS);
        for torn in [&bytes[..bytes.len() / 2], b"", b"null", b"\xff"] {
            assert_eq!(Sidecar::from_bytes(torn), None);
        }
        let mut overwritten = Sidecar::default().to_bytes();
        overwritten.extend_from_slice(&bytes[overwritten.len()..]);
        assert_eq!(Sidecar::from_bytes(&overwritten), Some(Sidecar::default()));
    }

    #[test]
    fn what_nobody_of_us_writes_is_not_believed() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let read = |json: String| Sidecar::from_bytes(json.as_bytes()).expect("a sidecar");
        let verdict = |at: i64, until: i64| {
            let token = token(1);
            read(format!(
                r#"{{"verdicts": [{{"token": "{token}", "at": {at}, "answer": {{"not_before": {until}}}}}]}}"#
            ))
        };
        let at = now.timestamp_millis();
        let day = 24 * 60 * 60 * 1000;
        assert!(verdict(at, at + day).verdict(token(1), now).is_some());
        for (at, until) in [
            (at, at + day + 1),
            (at, 8_000_000_000_000_000),
            (-8_000_000_000_000_000, 8_000_000_000_000_000),
            (8_000_000_000_000_000, at + 1),
            (8_000_000_000_000_000, -8_000_000_000_000_000),
        ] {
            assert_eq!(verdict(at, until).verdict(token(1), now), None, "{at} {until}");
        }
        for level in ["-1e300", "-0.0"] {
            let empty = read(format!(r#"{{"bucket": {{"level": {level}, "at": {at}}}}}"#));
            assert!(!empty.may_rotate_young(now));
            assert!(empty.may_rotate_young(now + TimeDelta::seconds(60)), "{level}");
        }
        let mut full = read(format!(r#"{{"bucket": {{"level": 1e300, "at": {at}}}}}"#));
        for _ in 0..4 {
            full.take_young_rotation(now);
        }
        assert!(!full.may_rotate_young(now));
    }

    #[test]
    fn more_than_we_write_is_cut_or_not_read() {
        let pair = format!(r#"["{}","{}"]"#, token(1), token(2));
        let lineage =
            |pairs: usize| format!(r#"{{"lineage":[{}]}}"#, vec![pair.as_str(); pairs].join(","));
        let most = lineage(56);
        assert!(most.len() <= LARGEST_SIDECAR, "{}", most.len());
        let mut sidecar = Sidecar::from_bytes(most.as_bytes()).expect("a sidecar");
        sidecar.take_young_rotation(DateTime::from_timestamp(1_800_000_000, 0).expect("a time"));
        assert!(sidecar.to_bytes().len() <= LARGEST_SIDECAR);
        assert_eq!(Sidecar::from_bytes(&sidecar.to_bytes()), Some(sidecar));
        assert_eq!(Sidecar::from_bytes(lineage(57).as_bytes()), None);
    }

    #[test]
    fn descent_follows_the_chain_and_ends_in_a_cycle() {
        let mut sidecar = Sidecar::default();
        sidecar.add_rotation(token(1), token(2));
        sidecar.add_rotation(token(2), token(3));
        assert!(sidecar.descends(token(3), token(1)));
        assert!(sidecar.descends(token(1), token(1)));
        assert!(!sidecar.descends(token(1), token(3)));
        sidecar.add_rotation(token(3), token(1));
        assert!(!sidecar.descends(token(9), token(1)));
    }

    #[test]
    fn a_token_is_spent_once_its_successor_is_settled() {
        let mut sidecar = Sidecar::default();
        sidecar.add_rotation(token(1), token(2));
        assert!(!sidecar.is_spent(token(1)), "its successor may be lost");
        sidecar.settle();
        assert!(sidecar.is_spent(token(1)) && !sidecar.is_spent(token(2)));
        sidecar.add_rotation(token(2), token(1));
        sidecar.settle();
        assert!(sidecar.is_spent(token(2)) && !sidecar.is_spent(token(1)), "it was issued again");
    }

    #[test]
    fn verdicts_age_and_the_bucket_refills() {
        let now = Utc::now();
        let mut sidecar = Sidecar::default();
        let answer = Answer::Refused(RefusalReason::Reused);
        sidecar.set_verdict(Verdict { token: token(1), at: now, answer, in_doubt: false });
        assert_eq!(sidecar.verdict(token(1), now), Some(answer));
        assert_eq!(sidecar.verdict(token(1), now + TimeDelta::seconds(60)), None);
        assert_eq!(sidecar.verdict(token(1), now - TimeDelta::hours(2)), None);
        for left in [true, true, true, false] {
            sidecar.take_young_rotation(now);
            assert_eq!(sidecar.may_rotate_young(now), left);
        }
        assert!(sidecar.may_rotate_young(now + TimeDelta::seconds(61)));
    }
}
