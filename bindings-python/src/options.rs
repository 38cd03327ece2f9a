//! Converts the keyword options of managers from Python values to the core's types.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use codex_auth_sdk::{AuthManager, AuthManagerBuilder, Error, LogoutOptions, Secret};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::custom_store;
use crate::duration::duration;
use crate::errors::{to_py, wrong_type};
use crate::storage::EphemeralStorage;

type Builder = AuthManagerBuilder;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns a builder with `options`. `None` leaves an option at its default.
pub(crate) fn builder(options: Option<&Bound<'_, PyDict>>) -> PyResult<Builder> {
    let mut builder = AuthManager::builder();
    for (name, value) in options.into_iter().flatten() {
        builder = with_option(builder, name.extract()?, &value)?;
    }
    Ok(builder)
}

/// Creates a manager with `options` that has not read its store.
pub(crate) fn build_unread(
    py: Python<'_>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<AuthManager> {
    let builder = builder(options)?;
    py.detach(|| builder.build_unread()).map_err(|error| to_py(py, &error))
}

/// Returns how long `close` waits: `timeout`, or 10 s without one.
pub(crate) fn close_timeout(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Duration> {
    let given = timeout.map(|timeout| duration("timeout", timeout)).transpose()?;
    Ok(given.flatten().unwrap_or(CLOSE_TIMEOUT))
}

/// How to sign out.
pub(crate) fn logout(revoke: bool, any_account: bool) -> LogoutOptions {
    let mut options = LogoutOptions::default();
    options.revoke = revoke;
    options.any_account = any_account;
    options
}

fn with_option(builder: Builder, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Builder> {
    Ok(match name {
        "codex_home" => set(builder, path(name, value)?, Builder::codex_home),
        "store" => return with_store(builder, name, value),
        "login" => set(builder, text(name, value)?, Builder::login),
        "store_key" if value.is_none() => builder,
        "store_key" => builder.store_key(secret(name, value)?),
        "refresh" => set(builder, word(name, value)?, Builder::refresh),
        "account_id" => set(builder, text(name, value)?, Builder::account_id),
        "refresh_window" => set(builder, duration(name, value)?, Builder::refresh_window),
        "winner_wait" => set(builder, duration(name, value)?, Builder::winner_wait),
        "refresh_deadline" => set(builder, duration(name, value)?, Builder::refresh_deadline),
        "request_timeout" => set(builder, duration(name, value)?, Builder::request_timeout),
        "lock_timeout" => set(builder, duration(name, value)?, Builder::lock_timeout),
        "token_url" => set(builder, text(name, value)?, Builder::token_url),
        "revoke_url" => set(builder, text(name, value)?, Builder::revoke_url),
        "issuer" => set(builder, text(name, value)?, Builder::issuer),
        "client_id" => set(builder, text(name, value)?, Builder::client_id),
        "originator" => set(builder, text(name, value)?, Builder::originator),
        "user_agent" => set(builder, text(name, value)?, Builder::user_agent),
        "proxy" => set(builder, text(name, value)?, Builder::proxy),
        "token_encoding" => set(builder, word(name, value)?, Builder::token_encoding),
        "enable_codex_api_key_env" => {
            set(builder, flag(name, value)?, Builder::enable_codex_api_key_env)
        }
        "allowed_origins" => set(builder, texts(name, value)?, Builder::allowed_origins),
        _ => return Err(PyTypeError::new_err(format!("there is no option {name:?}"))),
    })
}

fn with_store(builder: Builder, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Builder> {
    if let Ok(storage) = value.cast::<EphemeralStorage>() {
        return Ok(builder.storage(Arc::new(storage.get().0.clone())));
    }
    if !value.is_none() && text(name, value).is_err() {
        return Ok(builder.storage(custom_store::storage_of(value)?));
    }
    Ok(set(builder, word(name, value)?, Builder::store))
}

fn set<T>(builder: Builder, value: Option<T>, setter: fn(Builder, T) -> Builder) -> Builder {
    match value {
        Some(value) => setter(builder, value),
        None => builder,
    }
}

pub(crate) fn text(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let wanted =
        if value.is_instance_of::<PyString>() { "a str without surrogates" } else { "a str" };
    value.extract().map_err(|_| wrong_type(name, wanted, value))
}

pub(crate) fn texts(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<String>>> {
    value.extract().map_err(|_| wrong_type(name, "a list of str", value))
}

/// Converts a credential. An error about it does not show the value.
pub(crate) fn secret(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Secret> {
    let given = value.extract().map_err(|_| wrong_type(name, "a str of ASCII characters", value));
    given.map(|given: &str| Secret::new(given))
}

fn path(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    value.extract().map_err(|_| wrong_type(name, "a str or an os.PathLike of it", value))
}

pub(crate) fn flag(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
    value.extract().map_err(|_| wrong_type(name, "a bool", value))
}

/// Converts a word that the core parses, such as the name of a store.
pub(crate) fn word<T: FromStr<Err = Error>>(
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<Option<T>> {
    let parsed = text(name, value)?.map(|word| word.parse()).transpose();
    parsed.map_err(|error| to_py(value.py(), &error))
}
