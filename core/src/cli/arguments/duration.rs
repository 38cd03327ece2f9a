//! Durations, as a number and a unit.

use std::time::Duration;

/// The units of a duration, in seconds.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        name => UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, seconds)| *seconds),
    };
    let seconds = digits.parse::<u64>().ok().zip(unit);
    seconds
        .and_then(|(number, unit)| number.checked_mul(unit))
        .map(Duration::from_secs)
        .ok_or_else(|| "write a number and a unit: 90s, 5m, 2h or 1d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("5m", 300), ("2d", 172_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "-5m", "5 m", "1.5h", "5w", "5mm", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
