//! Records of a store, written as the Codex CLI writes them, with labels in place of tokens.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::labels::{Label, TokenName};
use super::state::{State, now_ms};

/// The CLI's order of fields. Others follow, by name.
const FIELD_ORDER: [&str; 9] = [
    "auth_mode",
    "OPENAI_API_KEY",
    "tokens",
    "id_token",
    "access_token",
    "refresh_token",
    "account_id",
    "last_refresh",
    "agent_identity",
];

/// What a store should hold. Exactly one of `record`, `json` and `text` is given, or none of them
/// for an empty store.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StoreSpec {
    /// The record of a pair: `a0`.
    record: Option<String>,
    /// Any JSON; names of tokens in it (`refresh:a0`) become the tokens.
    json: Option<Value>,
    text: Option<String>,
    /// Values by JSON pointer; objects on the way are made.
    set: Map<String, Value>,
    remove: Vec<String>,
    last_refresh_age_s: Option<i64>,
    /// On one line, as in a keyring.
    compact: bool,
    /// Keep only so many bytes of the text.
    cut: Option<usize>,
}

/// The text that the store should hold, or none.
pub(super) fn store_text(state: &State, spec: StoreSpec) -> Result<Option<String>, String> {
    let given = [spec.record.is_some(), spec.json.is_some(), spec.text.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err("record, json and text exclude each other".to_owned());
    }
    let text = match (spec.text, base(state, spec.record.as_deref(), spec.json)?) {
        (Some(text), _) => Some(text),
        (None, None) => None,
        (None, Some(mut record)) => {
            if let Some(age) = spec.last_refresh_age_s {
                let at = now_ms() - age * 1000;
                set(&mut record, "/last_refresh", json!(timestamp(at)))?;
            }
            for (pointer, value) in spec.set {
                set(&mut record, &pointer, value)?;
            }
            for pointer in spec.remove {
                remove(&mut record, &pointer)?;
            }
            with_tokens(state, &mut record);
            Some(written(&record, spec.compact))
        }
    };
    Ok(text.map(|text| cut(text, spec.cut)))
}

/// The record of a pair as a login or a refresh of the CLI leaves it.
pub(super) fn record(state: &State, label: &Label) -> Option<Value> {
    let pair = state.pair(label)?;
    let family = state.family(&label.family)?;
    Some(json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": pair.id_text,
            "access_token": pair.access.text,
            "refresh_token": pair.refresh.text,
            "account_id": family.account.account_id,
        },
        "last_refresh": timestamp(pair.minted_ms),
    }))
}

/// Pretty, two spaces, no final newline, fields in the CLI's order.
pub(super) fn written(record: &Value, compact: bool) -> String {
    let ordered = Ordered(record);
    let text = if compact {
        serde_json::to_string(&ordered)
    } else {
        serde_json::to_string_pretty(&ordered)
    };
    text.expect("a JSON value always has a text")
}

/// Puts the names of tokens in the place of the tokens, wherever they are.
pub(super) fn with_names(state: &State, value: &mut Value) {
    each_text(value, &|text| state.name_of(text).map(|name| name.to_string()));
}

fn with_tokens(state: &State, value: &mut Value) {
    each_text(value, &|text| {
        let name = TokenName::parse(text)?;
        state.text_of(&name).map(str::to_owned)
    });
}

fn base(state: &State, label: Option<&str>, json: Option<Value>) -> Result<Option<Value>, String> {
    let Some(label) = label else {
        return Ok(json);
    };
    let found = Label::parse(label).and_then(|label| record(state, &label));
    found.map(Some).ok_or_else(|| format!("there is no pair {label:?}"))
}

fn each_text(value: &mut Value, replacement: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = replacement(text) {
                *text = new;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, replacement)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| each_text(field, replacement));
        }
        _ => {}
    }
}

fn set(record: &mut Value, pointer: &str, value: Value) -> Result<(), String> {
    let (parent, name) = split(pointer)?;
    let mut place = record;
    for step in parent.split('/').skip(1) {
        let fields =
            place.as_object_mut().ok_or_else(|| format!("no object on the way to {pointer}"))?;
        place = fields.entry(step).or_insert_with(|| json!({}));
    }
    let fields = place.as_object_mut().ok_or_else(|| format!("no object at {parent}"))?;
    fields.insert(name.to_owned(), value);
    Ok(())
}

fn remove(record: &mut Value, pointer: &str) -> Result<(), String> {
    let (parent, name) = split(pointer)?;
    record
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .and_then(|fields| fields.remove(name))
        .map(drop)
        .ok_or_else(|| format!("nothing to remove at {pointer}"))
}

fn split(pointer: &str) -> Result<(&str, &str), String> {
    pointer.rsplit_once('/').ok_or_else(|| format!("{pointer:?} is no JSON pointer"))
}

fn cut(text: String, bytes: Option<usize>) -> String {
    match bytes {
        // Records are ASCII; a cut inside of a character would only be more broken.
        Some(bytes) if bytes < text.len() => {
            String::from_utf8_lossy(&text.as_bytes()[..bytes]).into_owned()
        }
        _ => text,
    }
}

fn timestamp(ms: i64) -> String {
    let whole = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    // Nine digits that look measured, as the CLI's do.
    let at: DateTime<Utc> = whole + TimeDelta::nanoseconds(614_588);
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let rank = |name: &str| FIELD_ORDER.iter().position(|known| *known == name);
                let sorted: BTreeMap<_, _> = fields
                    .iter()
                    .map(|(name, value)| {
                        let rank = rank(name).unwrap_or(FIELD_ORDER.len());
                        ((rank, name), value)
                    })
                    .collect();
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for ((_, name), value) in sorted {
                    map.serialize_entry(name, &Ordered(value))?;
                }
                map.end()
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            other => other.serialize(serializer),
        }
    }
}
