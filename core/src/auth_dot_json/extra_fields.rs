//! The fields of a JSON object by their texts, so that a field that this crate does not know is
//! written as it was read.

use std::collections::HashSet;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::invalid_record::InvalidRecord;
use crate::secret::Secret;

/// Fields that this crate does not interpret, in their order and as the text that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraFields(Vec<(String, Secret)>);

impl ExtraFields {
    /// Returns whether there is a field `name` with a value other than `null`.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(known, raw)| known == name && raw.expose() != "null")
    }

    /// Returns the names of the fields with a value other than `null`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, raw)| raw.expose() != "null").map(|(name, _)| &**name)
    }

    /// Returns the field `name` as text; none if it is absent or not a string.
    pub fn text(&self, name: &str) -> Option<Secret> {
        self.get(name)
    }

    /// Returns the value of the field `name`; none if it is absent or of another kind.
    pub(super) fn get<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        let (_, raw) = self.0.iter().find(|(known, _)| known == name)?;
        serde_json::from_str(raw.expose()).ok()
    }

    /// Adds the field `name`, or replaces it.
    pub(crate) fn set(&mut self, name: &str, value: &impl Serialize) {
        let raw = serde_json::to_string(value).expect("a value with text keys is valid JSON");
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), Secret::new(raw)));
    }

    /// Reads the fields of the JSON object `json`.
    pub(super) fn parse(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }

    /// Moves the fields whose names are `wanted` before all others.
    pub(super) fn move_to_front(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.sort_by_key(|(name, _)| !wanted(name));
    }

    /// Removes the field `name` and returns its JSON text. `null` counts as absent.
    pub(super) fn take_raw(&mut self, name: &str) -> Option<Secret> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        let (_, raw) = self.0.remove(at);
        (raw.expose() != "null").then_some(raw)
    }

    /// Removes the field `name` and returns its value. `path` names the field in the error.
    pub(super) fn take<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
        path: &str,
    ) -> Result<Option<T>, InvalidRecord> {
        self.take_raw(name)
            .map(|raw| serde_json::from_str(raw.expose()))
            .transpose()
            .map_err(|_| InvalidRecord::new(format!("`{path}` is not a string")))
    }

    /// Writes the fields whose names are `wanted`.
    pub(super) fn serialize_into<M: SerializeMap>(
        &self,
        map: &mut M,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), M::Error> {
        for (name, raw) in self.0.iter().filter(|(name, _)| wanted(name)) {
            let raw: &RawValue = serde_json::from_str(raw.expose()).map_err(M::Error::custom)?;
            map.serialize_entry(name, raw)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ExtraFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = ExtraFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ExtraFields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.push((name, Secret::new(Box::<str>::from(raw))));
                }
                keep_last_of_each_name(&mut fields);
                Ok(ExtraFields(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

fn keep_last_of_each_name(fields: &mut Vec<(String, Secret)>) {
    let mut names = HashSet::with_capacity(fields.len());
    fields.reverse();
    fields.retain(|(name, _)| names.insert(name.clone()));
    fields.reverse();
}
