//! Which store the user's Codex CLI uses, by its `config.toml`.

use std::io;
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::home::Home;
use super::plain_file::{self, Links};
use super::store_kind::StoreKind;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};

/// More than any `config.toml` needs.
const LARGEST_CONFIG: u64 = 4 * 1024 * 1024;

/// The store of the user's Codex CLI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodexStore {
    /// What the CLI's setting says.
    pub(crate) kind: StoreKind,
    /// Whether that setting is there; else it is the CLI's default.
    pub(crate) is_named: bool,
    /// Whether the CLI encrypts a file instead of giving the login to the keyring.
    pub(crate) is_encrypted: bool,
}

impl CodexStore {
    /// Reads `config.toml` in `home`; the CLI's default is a file.
    pub(crate) fn configured(home: &Path, environment: &Environment) -> Result<Self> {
        let (home, calls) = (home.to_owned(), Home::of(home, environment.clone()));
        calls.calls().make_now(move || Self::read(&home))
    }

    fn read(home: &Path) -> Result<Self> {
        let path = home.join("config.toml");
        let invalid = |what: String| {
            let message = format!("{}: {what}; correct it, or name a store", path.display());
            Error::new(ErrorKind::InvalidOption, message)
        };
        let content = match plain_file::read(&path, LARGEST_CONFIG, Links::Followed) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
            Err(error) => {
                return Err(invalid(format!("it cannot be read: {error}")));
            }
        };
        let text = std::str::from_utf8(&content).map_err(|_| invalid("not UTF-8".to_owned()))?;
        let config: Config = toml::from_str(text)
            .map_err(|error| invalid(format!("not valid TOML: {}", error.message())))?;
        Ok(Self {
            kind: config.kind().map_err(|what| invalid(what.to_owned()))?,
            is_named: config.cli_auth_credentials_store.is_some(),
            is_encrypted: config.is_encrypted().map_err(|what| invalid(what.to_owned()))?,
        })
    }
}

/// What of `config.toml` is about stores.
#[derive(Deserialize)]
struct Config {
    cli_auth_credentials_store: Option<toml::Value>,
    features: Option<toml::Value>,
}

impl Config {
    fn kind(&self) -> Result<StoreKind, &'static str> {
        let named = match &self.cli_auth_credentials_store {
            None => return Ok(StoreKind::File),
            Some(toml::Value::String(name)) => name.parse().ok(),
            Some(_) => None,
        };
        named
            .filter(|kind| {
                !matches!(
                    kind,
                    StoreKind::Codex
                        | StoreKind::Encrypted
                        | StoreKind::Agent(_)
                        | StoreKind::Postgres(_)
                )
            })
            .ok_or("`cli_auth_credentials_store` is none of file, keyring, auto, ephemeral")
    }

    /// The CLI's switch, which is on by itself where a keyring takes no value as long as a login.
    fn is_encrypted(&self) -> Result<bool, &'static str> {
        match self.features.as_ref().and_then(|features| features.get("secret_auth_storage")) {
            None => Ok(cfg!(windows)),
            Some(toml::Value::Boolean(is_on)) => Ok(*is_on),
            Some(_) => Err("`features.secret_auth_storage` is neither true nor false"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(config: &str) -> Result<CodexStore> {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("config.toml"), config).expect("written");
        CodexStore::configured(home.path(), &Environment::default())
    }

    #[test]
    fn follows_the_cli_and_refuses_what_it_cannot_read() {
        let default = configured("model = \"x\"").expect("default");
        assert_eq!(
            default,
            CodexStore { kind: StoreKind::File, is_named: false, is_encrypted: cfg!(windows) },
            "the CLI's defaults"
        );
        let keyring = "cli_auth_credentials_store = \"keyring\"\n[features]\n";
        for (switch, is_encrypted) in [
            ("a = true", cfg!(windows)),
            ("secret_auth_storage = true", true),
            ("secret_auth_storage = false", false),
        ] {
            let found = configured(&format!("{keyring}{switch}")).expect("named");
            let kind = StoreKind::Keyring;
            assert_eq!(found, CodexStore { kind, is_named: true, is_encrypted });
        }
        for bad in [
            "cli_auth_credentials_store = \"vault\"",
            "cli_auth_credentials_store = \"encrypted\"",
            "cli_auth_credentials_store = 1",
            "features.secret_auth_storage = \"yes\"",
            "= =",
        ] {
            let error = configured(bad).expect_err("refused");
            assert_eq!(error.code(), "invalid_option");
            assert!(error.to_string().contains("config.toml"), "{error}");
        }
    }
}
