//! The headers that authorize a request.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::auth_mode::AuthMode;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Identity;
use crate::secret::Secret;

/// The name and the value of a header.
pub(super) type Header = (&'static str, Secret);

/// The parts of a snapshot that its headers contain.
pub(super) struct Sender<'a> {
    pub(super) mode: AuthMode,
    pub(super) bearer: Option<&'a Secret>,
    pub(super) identity: &'a Identity,
    pub(super) originator: &'a str,
}

impl Sender<'_> {
    pub(super) fn headers(&self, is_fedramp: bool) -> Result<Vec<Header>> {
        let Some(bearer) = self.bearer else {
            let mode = self.mode.as_str();
            return Err(Error::new(
                ErrorKind::UnsupportedMode,
                format!("a credential of mode {mode} has no bearer token to send"),
            ));
        };
        let bearer = header_value("bearer token", bearer.expose())?;
        let mut headers = vec![("Authorization", Secret::new(format!("Bearer {bearer}")))];
        if self.mode != AuthMode::ApiKey {
            if let Some(id) = self.identity.workspace() {
                let id = header_value("account id", id)?;
                headers.push(("ChatGPT-Account-ID", Secret::new(id)));
            }
            if is_fedramp {
                headers.push(("X-OpenAI-Fedramp", Secret::new("true")));
            }
            headers.push(("originator", Secret::new(self.originator)));
        }
        Ok(headers)
    }
}

/// Returns `text`, the `what` of a login, if a header can have it.
fn header_value<'a>(what: &str, text: &'a str) -> Result<&'a str> {
    is_header_value(text).then_some(text).ok_or_else(|| {
        Error::new(
            ErrorKind::UnsupportedMode,
            format!(
                "the login's {what} is empty or has characters that a header cannot have; sign in \
                 again"
            ),
        )
    })
}

/// Returns whether a header can have the value `text`: printable ASCII, and not empty.
pub(crate) fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// Returns `headers` as a map of the crate `http`, marked as sensitive.
pub(super) fn header_map(headers: &[Header]) -> HeaderMap {
    let sensitive = |(name, value): &Header| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a constant");
        let mut value = HeaderValue::from_str(value.expose()).expect("checked before");
        value.set_sensitive(true);
        (name, value)
    };
    headers.iter().map(sensitive).collect()
}
