//! The kinds of store, by their names.

use std::str::FromStr;

use super::agent::AgentAddress;
use crate::error::{Error, Result};
use crate::option_value;

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

impl StoreKind {
    /// Returns the name of this kind, which is the same in every language.
    pub fn name(&self) -> &'static str {
        NAMES.iter().find(|(_, kind)| kind == self).map_or(AGENT, |(name, _)| name)
    }
}

impl FromStr for StoreKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if let Some(address) = name.strip_prefix(AGENT) {
            match address.strip_prefix(':') {
                Some(address) => return address.parse().map(Self::Agent),
                None if address.is_empty() => return Ok(Self::Agent(AgentAddress::default())),
                None => {}
            }
        }
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| kind.clone()).ok_or_else(|| {
            let fix = "use codex, file, keyring, auto, encrypted, ephemeral, agent or agent:PLACE";
            option_value::unknown("store", name, fix)
        })
    }
}
