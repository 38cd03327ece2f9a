//! Converts the keyword options of sign-ins from Python values to the core's types.

use codex_auth_sdk::LoginOptions;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::duration::duration;
use crate::errors::wrong_type;
use crate::options::{flag, text, texts, word};

/// Converts the options of `login_with_browser`. `None` leaves an option at its default.
pub(crate) fn browser(options: Option<&Bound<'_, PyDict>>) -> PyResult<LoginOptions> {
    let mut login = LoginOptions::default();
    for (name, value) in options.into_iter().flatten() {
        match name.extract()? {
            name @ "ports" => set(&mut login.ports, ports(name, &value)?),
            name @ "manual" => set(&mut login.manual, flag(name, &value)?),
            name => set_option(&mut login, name, &value)?,
        }
    }
    Ok(login)
}

/// Converts the options of `login_with_device_code`. `None` leaves an option at its default.
pub(crate) fn device(options: Option<&Bound<'_, PyDict>>) -> PyResult<LoginOptions> {
    let mut login = LoginOptions::default();
    for (name, value) in options.into_iter().flatten() {
        set_option(&mut login, name.extract()?, &value)?;
    }
    Ok(login)
}

fn set_option(login: &mut LoginOptions, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match name {
        "allowed_workspaces" => set(&mut login.allowed_workspaces, texts(name, value)?),
        "revoke_replaced" => set(&mut login.revoke_replaced, flag(name, value)?),
        "timeout" => login.timeout = duration(name, value)?,
        "protocol" => set(&mut login.protocol, word(name, value)?),
        "scope" => login.scope = text(name, value)?,
        "id_token_validation" => set(&mut login.id_token_validation, word(name, value)?),
        _ => return Err(PyTypeError::new_err(format!("there is no option {name:?}"))),
    }
    Ok(())
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

fn ports(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u16>>> {
    value.extract().map_err(|_| wrong_type(name, "a list of int, each at most 65535", value))
}
