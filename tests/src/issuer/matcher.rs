//! Comparing what happened with what was expected, once for all three runners.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// Lists where `actual` is not as expected. An error that nobody expected is always one of them.
pub(super) fn mismatches(actual: &Value, expected: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", Some(actual), expected, &mut found);
    let unexpected = actual.get("error").filter(|error| !error.is_null());
    if let Some(error) = unexpected
        && expected.get("error").is_none()
    {
        found.push(format!("/error: not expected: {error}"));
    }
    found
}

fn compare(place: &str, actual: Option<&Value>, expected: &Value, found: &mut Vec<String>) {
    match expected {
        Value::Object(fields) => match matcher(fields) {
            Some((name, argument)) => {
                if let Some(complaint) = matched(name, argument, actual) {
                    found.push(format!("{place}: {complaint}, found {}", shown(actual)));
                }
            }
            None => compare_fields(place, actual, fields, found),
        },
        Value::Array(items) => compare_items(place, actual, items, found),
        Value::Null => {
            if actual.is_some_and(|actual| !actual.is_null()) {
                found.push(format!("{place}: expected nothing, found {}", shown(actual)));
            }
        }
        _ => {
            if !equal(actual, expected) {
                found.push(format!("{place}: expected {expected}, found {}", shown(actual)));
            }
        }
    }
}

fn compare_fields(
    place: &str,
    actual: Option<&Value>,
    fields: &Map<String, Value>,
    found: &mut Vec<String>,
) {
    if !actual.is_some_and(Value::is_object) {
        found.push(format!("{place}: expected an object, found {}", shown(actual)));
        return;
    }
    for (name, expected) in fields {
        // A name that starts with a slash is a JSON pointer.
        let (place, field) = if name.starts_with('/') {
            (format!("{place}{name}"), actual.and_then(|actual| actual.pointer(name)))
        } else {
            (format!("{place}/{name}"), actual.and_then(|actual| actual.get(name)))
        };
        compare(&place, field, expected, found);
    }
}

fn compare_items(place: &str, actual: Option<&Value>, items: &[Value], found: &mut Vec<String>) {
    let actual_items = actual.and_then(Value::as_array);
    match actual_items.filter(|actual| actual.len() == items.len()) {
        Some(actual) => {
            for (index, (actual, expected)) in actual.iter().zip(items).enumerate() {
                compare(&format!("{place}/{index}"), Some(actual), expected, found);
            }
        }
        None => {
            found.push(format!("{place}: expected {} items, found {}", items.len(), shown(actual)));
        }
    }
}

/// An object with one field whose name starts with a dollar sign is a matcher.
fn matcher(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = fields.iter().next()?;
    let name = name.strip_prefix('$')?;
    (fields.len() == 1).then_some((name, argument))
}

/// What the matcher complains about, if it does.
fn matched(name: &str, argument: &Value, actual: Option<&Value>) -> Option<String> {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    let complaint = |holds: bool| (!holds).then(|| format!("expected ${name} {argument}"));
    match name {
        "present" => complaint(Some(actual.is_some()) == argument.as_bool()),
        "at_least" => complaint(number(actual) >= argument.as_f64() && actual.is_some()),
        "at_most" => complaint(number(actual) <= argument.as_f64() && actual.is_some()),
        "not" => complaint(!equal(actual, argument)),
        "one_of" => {
            let choices = argument.as_array().map(Vec::as_slice).unwrap_or_default();
            complaint(choices.iter().any(|choice| equal(actual, choice)))
        }
        "contains" => {
            let part = argument.as_str().unwrap_or_default();
            complaint(actual.and_then(Value::as_str).is_some_and(|text| text.contains(part)))
        }
        "within_s" => complaint(age_s(actual).is_some_and(|age| Some(age) <= argument.as_f64())),
        "is_null" => complaint(Some(actual.is_some_and(Value::is_null)) == argument.as_bool()),
        _ => Some(format!("${name} is no matcher")),
    }
}

/// How far a time (RFC 3339) is from now, in either direction.
fn age_s(actual: Option<&Value>) -> Option<f64> {
    let text = actual.and_then(Value::as_str)?;
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    let away = Utc::now().signed_duration_since(at);
    Some(away.as_seconds_f64().abs())
}

/// 1 and 1.0 are the same number: the three languages do not agree on how to write it.
fn equal(actual: Option<&Value>, expected: &Value) -> bool {
    let numbers = (actual.and_then(Value::as_f64), expected.as_f64());
    match numbers {
        (Some(actual), Some(expected)) => (actual - expected).abs() < f64::EPSILON,
        _ => actual.unwrap_or(&Value::Null) == expected,
    }
}

fn shown(actual: Option<&Value>) -> String {
    actual.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
