//! The spans that a manager records with `tracing`.
//!
//! A span is declared beside the code that it covers. The docs of
//! [`AuthManager`](crate::AuthManager) list the names, fields and codes. A change to one of them
//! breaks the queries of users.

use tracing::{Instrument, Span};

use crate::error::{Error, Result};

/// The target of all spans.
pub(crate) const TARGET: &str = "codex_auth_sdk";

/// A result with a code for the field `outcome` of its span.
pub(crate) trait Code {
    fn code(&self) -> &'static str;
}

impl<T: Code> Code for Result<T> {
    fn code(&self) -> &'static str {
        self.as_ref().map_or_else(Error::code, Code::code)
    }
}

/// Runs `work` in `span` and records the code of its result there.
pub(crate) async fn traced<T: Code>(span: Span, work: impl Future<Output = T>) -> T {
    let result = work.instrument(span.clone()).await;
    span.record("outcome", result.code());
    result
}
