//! What a test asks of a realm. The runners of three languages know nothing about tokens: every
//! comparison happens here.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::labels::Label;
use super::matcher::mismatches;
use super::records::{self, StoreSpec};
use super::state::{Redemption, State};
use super::stats::stats;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    label: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextArgument {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    actual: Value,
    #[serde(default)]
    expect: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckStore {
    text: Option<String>,
    #[serde(default)]
    expect: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    /// What the store holds at the end.
    text: Option<String>,
    /// Everything that was logged, printed or raised.
    #[serde(default)]
    output: String,
    #[serde(default)]
    expect: Map<String, Value>,
}

/// What must hold at the end of every case, whatever it is about.
const INVARIANTS: &str = r#"{
    "max_redemptions": { "$at_most": 1 },
    "replays": 0,
    "stolen": 0,
    "api_wrong_account": 0
}"#;

/// Whether the tokens of a store's text, or of a label, are still good for anything, and what took
/// the place of a spent one.
pub(super) fn live(state: &State, which: &Which) -> Result<Value, String> {
    let record: Value = match (&which.label, &which.text) {
        (Some(label), None) => Label::parse(label)
            .and_then(|label| records::record(state, &label))
            .ok_or_else(|| format!("there is no pair {label:?}"))?,
        (None, Some(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => return Err("live takes a label or a text".to_owned()),
    };
    let part = |pointer| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let token = part("/tokens/refresh_token");
    Ok(json!({
        "refresh": !matches!(state.judge(token), Redemption::Refused(_)),
        "access": state.check_access(part("/tokens/access_token")).is_ok(),
        "label": state.name_of(token).map(|name| name.label.to_string()),
        "successor": state.successor(token).map(|label| label.to_string()),
    }))
}

pub(super) fn store_text(state: &State, spec: StoreSpec) -> Result<Value, String> {
    Ok(json!({ "text": records::store_text(state, spec)? }))
}

/// The JSON of a store's text with names in the place of tokens.
pub(super) fn inspect(state: &State, argument: &TextArgument) -> Result<Value, String> {
    Ok(json!({ "record": named(state, argument.text.as_deref()) }))
}

pub(super) fn check(state: &State, mut check: Check) -> Result<Value, String> {
    records::with_names(state, &mut check.actual);
    let found = mismatches(&check.actual, &check.expect);
    Ok(json!({ "mismatches": found, "actual": check.actual }))
}

/// Compares what an HTTP client came to, together with what it sent: `seen` by the API, `leaked` to
/// this server's other origin, and the statistics.
pub(super) fn check_request(state: &State, mut check: Check) -> Result<Value, String> {
    let seen = &state.counters.seen;
    let is_leak = |request: &&Value| {
        request["host"] == "localhost"
            && (request["authorization"] != "none" || !request["account"].is_null())
    };
    check.actual["leaked"] = json!(seen.iter().filter(is_leak).count());
    check.actual["seen"] = json!(seen);
    check.actual["stats"] = stats(state);
    self::check(state, check)
}

/// Compares a store: with its record, with `{"raw": text}`, or with null for an empty one.
pub(super) fn check_store(state: &State, check: &CheckStore) -> Result<Value, String> {
    let text = check.text.as_deref();
    Ok(json!({
        "mismatches": store_mismatches(state, text, &check.expect),
        "actual": shown(state, text),
    }))
}

/// The end of a case: store, statistics, invariants and leaks at once.
pub(super) fn finish(state: &State, finish: &Finish) -> Result<Value, String> {
    let mut found = Vec::new();
    for (name, expected) in &finish.expect {
        let part = match name.as_str() {
            "store" => store_mismatches(state, finish.text.as_deref(), expected),
            "stats" => mismatches(&stats(state), expected),
            _ => return Err(format!("a case cannot expect {name:?} at its end")),
        };
        found.extend(part.into_iter().map(|text| format!("{name} {text}")));
    }
    let invariants = serde_json::from_str(INVARIANTS).expect("the invariants are JSON");
    let broken = mismatches(&stats(state), &invariants);
    found.extend(broken.into_iter().map(|text| format!("invariant {text}")));
    let leaked = leaked(state, &finish.output);
    found.extend(leaked.map(|name| format!("leaked {name}")));
    Ok(json!({
        "mismatches": found,
        "store": shown(state, finish.text.as_deref()),
        "stats": stats(state),
    }))
}

/// Names the tokens that occur in a text.
pub(super) fn leaks(state: &State, argument: &TextArgument) -> Result<Value, String> {
    let text = argument.text.as_deref().unwrap_or_default();
    Ok(json!({ "leaks": leaked(state, text).collect::<Vec<_>>() }))
}

/// A part is enough: the last characters of all tokens are random.
fn leaked<'a>(state: &'a State, text: &'a str) -> impl Iterator<Item = String> + 'a {
    const TAIL: usize = 16;
    let is_in_it = |token: &str| text.contains(&token[token.len().saturating_sub(TAIL)..]);
    let tokens = state.all_tokens().filter(move |(token, _)| is_in_it(token));
    tokens.map(|(_, name)| name.to_string())
}

fn store_mismatches(state: &State, text: Option<&str>, expected: &Value) -> Vec<String> {
    match (expected.get("raw"), text) {
        (Some(raw), Some(text)) if raw == text => Vec::new(),
        (Some(raw), text) => vec![format!("expected the text {raw}, found {text:?}")],
        (None, None) if expected.is_null() => Vec::new(),
        (None, None) => vec!["holds nothing".to_owned()],
        (None, Some(_)) if expected.is_null() => vec!["is not empty".to_owned()],
        (None, Some(_)) => mismatches(&named(state, text), expected),
    }
}

/// A store for human eyes: the text itself where it is no JSON.
fn shown(state: &State, text: Option<&str>) -> Value {
    match named(state, text) {
        Value::Null => json!(text),
        record => record,
    }
}

fn named(state: &State, text: Option<&str>) -> Value {
    let mut record = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    records::with_names(state, &mut record);
    record
}
