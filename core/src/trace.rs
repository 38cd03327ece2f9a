//! What a manager does, as spans of `tracing`. A span's name and its codes stand beside what it is
//! about; [`AuthManager`](crate::AuthManager) lists them for those who read them, and a name or a
//! field that changes breaks their queries.

use tracing::{Instrument, Span};

use crate::error::{Error, Result};

/// The target of all spans.
pub(crate) const TARGET: &str = "codex_auth_sdk";

/// What a span says at its end: a code.
pub(crate) trait Code {
    fn code(&self) -> &'static str;
}

impl<T: Code> Code for Result<T> {
    fn code(&self) -> &'static str {
        self.as_ref().map_or_else(Error::code, Code::code)
    }
}

/// Runs `work` in `span`, and notes there what it came to.
pub(crate) async fn traced<T: Code>(span: Span, work: impl Future<Output = T>) -> T {
    let result = work.instrument(span.clone()).await;
    span.record("outcome", result.code());
    result
}
