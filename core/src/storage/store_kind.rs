//! The kinds of store, by their names.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::option_value;
use crate::secret::Secret;

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
    /// A row of the database at this URL; see `PostgresStorage`.
    Postgres(Secret),
}

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
        NAMES.iter().find(|(_, kind)| kind == self).map_or("postgres", |(name, _)| name)
    }
}

impl FromStr for StoreKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if SCHEMES.iter().any(|scheme| name.starts_with(scheme)) {
            return Ok(Self::Postgres(Secret::new(name)));
        }
        let known = NAMES.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| kind).ok_or_else(|| {
            let fix = "use codex, file, keyring, auto, encrypted, ephemeral, or the URL of a \
                       database, postgres://HOST/DATABASE?login=NAME";
            option_value::unknown("store", name, fix)
        })
    }
}
