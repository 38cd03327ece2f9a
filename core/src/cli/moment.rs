//! Moments as people read them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Returns `at` as text, to the second.
pub(super) fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns `at` as text, with how far it is from `now`.
pub(super) fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let away = at - now;
    let length = length(away.abs());
    let distance =
        if away < TimeDelta::zero() { format!("{length} ago") } else { format!("in {length}") };
    format!("{} ({distance})", exact(at))
}

/// Returns `duration` in its largest unit that fits twice.
pub(super) fn length(duration: TimeDelta) -> String {
    let units = [("d", 24 * 60 * 60), ("h", 60 * 60), ("min", 60)];
    let seconds = duration.num_seconds();
    let unit = units.into_iter().find(|(_, unit)| seconds >= 2 * unit);
    let (name, unit) = unit.unwrap_or(("s", 1));
    format!("{} {name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_near_or_far_and_gone_or_to_come() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        for (seconds, distance) in [
            (0, "in 0 s"),
            (119, "in 119 s"),
            (120, "in 2 min"),
            (-90, "90 s ago"),
            (-7_199, "119 min ago"),
            (3 * 60 * 60, "in 3 h"),
            (10 * 24 * 60 * 60, "in 10 d"),
        ] {
            let text = relative(now + TimeDelta::seconds(seconds), now);
            assert!(text.ends_with(&format!("({distance})")), "{text}");
        }
    }
}
