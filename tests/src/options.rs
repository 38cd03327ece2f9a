//! Options of a manager as data: snake_case names, durations in seconds.

use codex_auth_sdk::bindings::seconds;
use codex_auth_sdk::{AuthManagerBuilder, Error, Secret};
use serde_json::Value;

/// `value` once it has changed.
pub fn with<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

/// `builder` with the option `name`.
///
/// # Errors
///
/// What the core says of the value.
///
/// # Panics
///
/// On an unknown name: that is a mistake in the test.
pub fn with_option(
    builder: AuthManagerBuilder,
    name: &str,
    value: &Value,
) -> Result<AuthManagerBuilder, Error> {
    let text = value.as_str().unwrap_or_default();
    let duration = || seconds(name, value.as_f64().unwrap_or(f64::NAN));
    Ok(match name {
        "store" => builder.store(text.parse()?),
        "login" => builder.login(text),
        "store_key" => builder.store_key(Secret::new(text)),
        "refresh" => builder.refresh(text.parse()?),
        "account_id" => builder.account_id(text),
        "token_url" => builder.token_url(text),
        "revoke_url" => builder.revoke_url(text),
        "issuer" => builder.issuer(text),
        "client_id" => builder.client_id(text),
        "originator" => builder.originator(text),
        "user_agent" => builder.user_agent(text),
        "proxy" => builder.proxy(text),
        "token_encoding" => builder.token_encoding(text.parse()?),
        "refresh_window" => builder.refresh_window(duration()?),
        "winner_wait" => builder.winner_wait(duration()?),
        "refresh_deadline" => builder.refresh_deadline(duration()?),
        "request_timeout" => builder.request_timeout(duration()?),
        "lock_timeout" => builder.lock_timeout(duration()?),
        _ => panic!("unknown option `{name}`"),
    })
}
