//! Which store the user's Codex CLI uses, by its `config.toml`.

use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use super::plain_file;

use crate::error::{Error, ErrorKind, Result};

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

/// More than any `config.toml` needs.
const LARGEST_CONFIG: u64 = 4 * 1024 * 1024;

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

    /// Reads `cli_auth_credentials_store` of `config.toml` in `home`; the CLI's default is a file.
    pub(crate) fn of_codex(home: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Config {
            cli_auth_credentials_store: Option<toml::Value>,
        }

        let path = home.join("config.toml");
        let invalid = |what: String| {
            Error::new(ErrorKind::InvalidOption, format!("{}: {what}", path.display()))
        };
        let content = match plain_file::read(&path, LARGEST_CONFIG) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::File),
            Err(error) => {
                return Err(invalid(format!("{error}; make it readable, or name a store")));
            }
        };
        let text = std::str::from_utf8(&content).map_err(|_| invalid("not UTF-8".to_owned()))?;
        let config: Config = toml::from_str(text)
            .map_err(|error| invalid(format!("not valid TOML: {}", error.message())))?;
        let named = match &config.cli_auth_credentials_store {
            None => return Ok(Self::File),
            Some(toml::Value::String(name)) => name.parse().ok(),
            Some(_) => None,
        };
        named.filter(|kind| !matches!(kind, Self::Codex | Self::Encrypted)).ok_or_else(|| {
            invalid(
                "`cli_auth_credentials_store` is none of file, keyring, auto, ephemeral".to_owned(),
            )
        })
    }
}

impl FromStr for StoreKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOption,
                format!(
                    "unknown store {name:?}; use codex, file, keyring, auto, encrypted or ephemeral"
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(config: &str) -> Result<StoreKind> {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("config.toml"), config).expect("written");
        StoreKind::of_codex(home.path())
    }

    #[test]
    fn follows_the_cli_and_refuses_what_it_cannot_read() {
        assert_eq!(configured("model = \"x\"").expect("default"), StoreKind::File);
        let keyring = configured("cli_auth_credentials_store = \"keyring\"\n[features]\na = true");
        assert_eq!(keyring.expect("named"), StoreKind::Keyring);
        for bad in
            ["cli_auth_credentials_store = \"vault\"", "cli_auth_credentials_store = 1", "= ="]
        {
            let error = configured(bad).expect_err("refused");
            assert_eq!(error.code(), "invalid_option");
            assert!(error.to_string().contains("config.toml"), "{error}");
        }
    }
}
