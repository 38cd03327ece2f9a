//! A JSON object whose every field must be understood.

use serde_json::{Map, Value};

pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn of(object: Value) -> Self {
        match object {
            Value::Object(fields) => Self(fields),
            other => Self(Map::from_iter([("not an object".to_owned(), other)])),
        }
    }

    /// The field `name`, null if it is absent.
    pub(crate) fn take(&mut self, name: &str) -> Value {
        self.0.remove(name).unwrap_or_default()
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<String, String> {
        let text = self.take(name).as_str().map(str::to_owned);
        text.ok_or_else(|| format!("`{name}` is not a text"))
    }

    pub(crate) fn text_or(&mut self, name: &str, default: &str) -> String {
        self.text(name).unwrap_or_else(|_| default.to_owned())
    }

    /// Fails if a field was not taken.
    pub(crate) fn end(self) -> Result<(), String> {
        match self.0.keys().next() {
            Some(name) => Err(format!("unknown field `{name}`")),
            None => Ok(()),
        }
    }
}
