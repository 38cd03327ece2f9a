//! Options that an environment variable can set.

use url::Url;

use crate::error::Result;
use crate::option_value::{check_text, endpoint_url};

/// A value, and the name of the option or environment variable that has it.
pub(super) struct Named {
    name: String,
    value: String,
}

impl Named {
    /// Returns the option `name` if it is `given`, else the variable `environment`.
    pub(super) fn find(name: &str, given: Option<&String>, environment: &str) -> Option<Self> {
        let given = given.map(|value| Self { name: name.to_owned(), value: value.clone() });
        given.or_else(|| {
            Some(Self { name: format!("${environment}"), value: variable(environment)? })
        })
    }

    pub(super) fn text(self) -> Result<String> {
        check_text(&self.name, &self.value).map(|()| self.value)
    }

    pub(super) fn url(&self) -> Result<Url> {
        endpoint_url(&self.name, &self.value)
    }
}

/// Returns the value of an environment variable, trimmed; none if it is empty.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}
