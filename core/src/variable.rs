//! Environment variables. One that is empty counts as not set.

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::option_value::invalid;
use crate::secret::Secret;

/// What the names of the variables begin with that are this library's or the Codex CLI's.
const PREFIX: &str = "CODEX_";

tokio::task_local! {
    static GIVEN: Variables;
}

/// The variables `CODEX_*` as a language runtime shows them to its programs. They may be others than
/// the process's: in Bun, in a worker of Node's, in a test of Jest's.
#[derive(Clone)]
pub struct Variables(Arc<HashMap<String, Secret>>);

impl Variables {
    /// Takes the variables by name; those with other names are passed over.
    pub fn new(variables: HashMap<String, String>) -> Self {
        let spelled =
            variables.into_iter().map(|(name, value)| (spelled(&name), Secret::new(value)));
        Self(Arc::new(spelled.filter(|(name, _)| name.starts_with(PREFIX)).collect()))
    }

    /// Makes a call that finds these variables in place of the process's.
    pub fn scope<T>(&self, call: impl FnOnce() -> T) -> T {
        GIVEN.sync_scope(self.clone(), call)
    }

    /// Awaits a future that finds these variables in place of the process's.
    pub async fn within<F: Future>(self, future: F) -> F::Output {
        GIVEN.scope(self, future).await
    }

    /// Returns the variable `name`. A runtime shows what is no text with marks in its place; then the
    /// process has the variable itself.
    fn find(&self, name: &str) -> Option<OsString> {
        let given = self.0.get(name)?.expose();
        let own = std::env::var_os(name).filter(|own| own.to_string_lossy() == given);
        Some(own.unwrap_or_else(|| given.into()))
    }
}

/// Returns how a variable is found: on Windows in whichever case it is written.
fn spelled(name: &str) -> String {
    if cfg!(windows) { name.to_uppercase() } else { name.to_owned() }
}

fn find(name: &str) -> Option<OsString> {
    let given = GIVEN.try_with(|given| given.find(name)).ok();
    given.filter(|_| name.starts_with(PREFIX)).unwrap_or_else(|| std::env::var_os(name))
}

/// Returns the text of the variable `name`, without blanks around it.
///
/// # Errors
///
/// `invalid_option` if it is no text.
pub(crate) fn text(name: &str) -> Result<Option<String>> {
    let text = verbatim(name)?.map(|text| text.trim().to_owned());
    Ok(text.filter(|text| !text.is_empty()))
}

/// Returns the text of the variable `name`, which a library reads too.
///
/// # Errors
///
/// `invalid_option` if it is no text.
pub(crate) fn verbatim(name: &str) -> Result<Option<String>> {
    let value = find(name).filter(|value| !value.is_empty());
    value.map(|value| text_of(name, value)).transpose()
}

fn text_of(name: &str, value: OsString) -> Result<String> {
    value.into_string().map_err(|_| {
        let fix = "correct it, or take it out of the environment";
        invalid(&format!("${name}"), "a value (not shown)", "which is not UTF-8 text", fix)
    })
}

/// Returns whether the variable `name` is in the environment, empty or not.
pub(crate) fn is_there(name: &str) -> bool {
    find(name).is_some()
}

/// Returns the path in the variable `name`, which need not be text.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    path_of(find(name)?)
}

fn path_of(value: OsString) -> Option<PathBuf> {
    let value = value.into_string().map_or_else(|odd| odd, |text| text.trim().into());
    (!value.is_empty()).then(|| value.into())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[tokio::test]
    async fn a_caller_that_brings_its_variables_has_them_and_no_others_of_ours() {
        let given = [("CODEX_HOME", "/given"), ("PATH", "/passed over")];
        let variables = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = Variables::new(variables.into());
        let look = || (path("CODEX_HOME"), path("CODEX_NOT_GIVEN"), path("PATH"));
        let expected = (Some("/given".into()), None, std::env::var_os("PATH").map(PathBuf::from));
        assert_eq!(variables.scope(look), expected);
        assert_eq!(variables.within(async { look() }).await, expected);
        assert_eq!(find("CODEX_HOME"), std::env::var_os("CODEX_HOME"), "only there");
    }

    #[test]
    fn what_is_no_text_is_a_path_or_an_error_and_never_passed_over() {
        let odd = || OsString::from_vec(b"/home/caf\xe9".to_vec());
        assert_eq!(path_of(odd()), Some(odd().into()));
        let error = text_of("CODEX_ACCESS_TOKEN", odd()).expect_err("no text");
        assert_eq!(error.code(), "invalid_option");
        let text = error.to_string();
        assert!(text.starts_with("$CODEX_ACCESS_TOKEN is") && !text.contains("home"), "{text}");
        for (value, expected) in [(" a b\n", Some("a b")), (" ", None), ("", None)] {
            assert_eq!(path_of(value.into()), expected.map(PathBuf::from));
        }
    }
}
