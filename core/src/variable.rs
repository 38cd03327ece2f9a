//! Environment variables. One that is empty counts as not set.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::Result;
use crate::option_value::invalid;

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
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
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
    std::env::var_os(name).is_some()
}

/// Returns the path in the variable `name`, which need not be text.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    path_of(std::env::var_os(name)?)
}

fn path_of(value: OsString) -> Option<PathBuf> {
    let value = value.into_string().map_or_else(|odd| odd, |text| text.trim().into());
    (!value.is_empty()).then(|| value.into())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

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
