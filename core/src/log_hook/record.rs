//! A traced event, or a span that has ended, as a plain value.

use std::fmt;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

/// The first part of the targets of what this crate traces.
pub(super) const CRATE: &str = "codex_auth_sdk";

/// A traced event, or a span that has ended. It contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecord {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// The module of this crate that traced it.
    pub target: &'static str,
    /// The message of the event, or the name of the span.
    pub message: String,
    /// The fields, in the order in which they were recorded. [`AuthManager`](crate::AuthManager)
    /// lists those of spans.
    pub fields: Vec<(&'static str, String)>,
    /// The duration of the span; none for an event.
    pub duration: Option<Duration>,
}

impl LogRecord {
    /// Makes a record of what `metadata` describes, without its message and fields.
    pub(super) fn new(metadata: &Metadata<'static>) -> Self {
        let level = match *metadata.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let (message, fields) = (String::new(), Vec::new());
        Self { level, target: metadata.target(), message, fields, duration: None }
    }
}

/// Writes the visited fields into a record.
pub(super) struct Fields<'a>(pub(super) &'a mut LogRecord);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0.message);
        } else {
            self.0.fields.push((field.name(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
