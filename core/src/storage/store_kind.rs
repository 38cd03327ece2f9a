//! The kinds of store, by their names.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::option_value;

/// The kinds of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
}

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
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for StoreKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let fix = "use codex, file, keyring, auto, encrypted or ephemeral";
            option_value::unknown("store", name, fix)
        })
    }
}
