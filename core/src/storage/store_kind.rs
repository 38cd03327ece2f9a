//! The kinds of store, by their names.

use std::str::FromStr;

use super::agent::AgentAddress;
use crate::error::{Error, Result};
use crate::option_value;
use crate::secret::Secret;

const AGENT: &str = "agent";

/// The kinds of store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StoreKind {
    /// The store that the Codex CLI uses: `$CODEX_API_KEY` if the manager may use it, a login in
    /// the memory of this process if there is one, `$CODEX_ACCESS_TOKEN` if it is set, else the
    /// store that the CLI's `config.toml` names.
    #[default]
    Codex,
    /// The file `auth.json`.
    File,
    /// The keyring of the operating system.
    Keyring,
    /// The keyring, or the file if the keyring does not work.
    Auto,
    /// An encrypted file whose key is in the keyring.
    Encrypted,
    /// The memory of this process.
    Ephemeral,
    /// An agent, which has the refresh token and hands out access tokens.
    Agent(AgentAddress),
    /// A row of the database at this URL; see `PostgresStorage`.
    Postgres(Secret),
}

/// The kinds whose name is all there is.
const NAMES: [(&str, StoreKind); 6] = [
    ("codex", StoreKind::Codex),
    ("file", StoreKind::File),
    ("keyring", StoreKind::Keyring),
    ("auto", StoreKind::Auto),
    ("encrypted", StoreKind::Encrypted),
    ("ephemeral", StoreKind::Ephemeral),
];

/// What the URLs of databases begin with.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

impl StoreKind {
    /// Returns the name of this kind, which is the same in every language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agent(_) => AGENT,
            Self::Postgres(_) => "postgres",
            _ => NAMES.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name),
        }
    }
}

impl FromStr for StoreKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if SCHEMES.iter().any(|scheme| name.starts_with(scheme)) {
            return Ok(Self::Postgres(Secret::new(name)));
        }
        if let Some(address) = name.strip_prefix(AGENT) {
            match address.strip_prefix(':') {
                Some(address) => return address.parse().map(Self::Agent),
                None if address.is_empty() => return Ok(Self::Agent(AgentAddress::default())),
                None => {}
            }
        }
        let known = NAMES.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| kind).ok_or_else(|| {
            let fix = "use codex, file, keyring, auto, encrypted, ephemeral, agent, agent:PLACE, or the \
                       URL of a database, postgres://HOST/DATABASE?login=NAME";
            // What follows may be an address with a password.
            let shown = name.split(':').next().unwrap_or_default();
            option_value::unknown("store", shown, fix)
        })
    }
}

/// Where a store that chooses has found the login.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHolder {
    /// The kind of store that holds it, or would be written next.
    pub kind: StoreKind,
    /// Why it is not the preferred one, in words without secrets.
    pub reason: Option<String>,
}

impl StoreHolder {
    /// A holder of this `kind`, for this `reason`.
    pub const fn new(kind: StoreKind, reason: Option<String>) -> Self {
        Self { kind, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_a_store_that_is_unknown_is_told_without_what_may_be_a_password() {
        for name in ["postgresql+asyncpg://app:secret@host/db", "postgres:/app:secret@host", "nats"]
        {
            let error = name.parse::<StoreKind>().expect_err("unknown").to_string();
            assert!(error.contains(&name[..4]) && !error.contains("secret"), "{error}");
        }
    }
}
