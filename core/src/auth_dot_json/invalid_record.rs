//! Why some bytes are not a record.

use crate::error::{Error, ErrorKind};

/// The reason why some bytes are not a Codex login. It says at which place, and not what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRecord(String);

impl InvalidRecord {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Turns the error of a record that a caller passes into an `invalid_option`.
impl From<InvalidRecord> for Error {
    fn from(invalid: InvalidRecord) -> Self {
        Self::new(
            ErrorKind::InvalidOption,
            "the record is not a Codex login; pass the content of an auth.json",
        )
        .with_source(invalid)
    }
}
