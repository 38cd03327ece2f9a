//! The kinds of store, by their names.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::option_value;

/// The kinds of store, as they are named in options and in `config.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StoreKind {
    /// Whatever the CLI's `config.toml` says.
    #[default]
    Codex,
    /// `auth.json`.
    File,
    /// The keyring of the operating system.
    Keyring,
    /// The keyring where it works, else the file.
    Auto,
    /// An encrypted file whose key is in the keyring.
    Encrypted,
    /// Memory of this process.
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
    /// The name of this kind.
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
