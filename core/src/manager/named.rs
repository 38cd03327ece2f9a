//! Options that an environment variable can set.

use url::Url;

use crate::error::Result;
use crate::option_value::{check_text, endpoint_url};
use crate::variable;

/// A value, and the name of the option or environment variable that has it.
pub(super) struct Named {
    name: String,
    value: String,
}

impl Named {
    /// Returns the option `name` if it is `given`, else the variable `environment`.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the variable is no text.
    pub(super) fn find(
        name: &str,
        given: Option<&String>,
        environment: &str,
    ) -> Result<Option<Self>> {
        if let Some(value) = given {
            return Ok(Some(Self { name: name.to_owned(), value: value.clone() }));
        }
        let value = variable::text(environment)?;
        Ok(value.map(|value| Self { name: format!("${environment}"), value }))
    }

    pub(super) fn text(self) -> Result<String> {
        check_text(&self.name, &self.value).map(|()| self.value)
    }

    pub(super) fn url(&self) -> Result<Url> {
        endpoint_url(&self.name, &self.value)
    }
}
