//! The store of a case, as a foreign program sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{
    AuthDotJson, AuthStorage, CustomStorage, EphemeralStorage, FileStorage, KeyringItem,
    KeyringStorage, PostgresOptions, PostgresStorage, system_keyring,
};
use codex_auth_tests::postgres;
use codex_auth_tests::row::Client;
use codex_auth_tests::session_keyring::secret_tool;
use serde::Deserialize;
use tempfile::TempDir;

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoreKind {
    File,
    Keyring,
    Ephemeral,
    Custom,
    Postgres,
}

/// Has the URL of the database in a process that has one.
pub(crate) const DATABASE: &str = "CASE_DATABASE";

/// The only login in that database.
const LOGIN: &str = "case";

pub(crate) enum Store {
    File(TempDir),
    Keyring(TempDir, KeyringItem),
    Ephemeral(EphemeralStorage),
    /// With the storage that all managers of a case share.
    Custom(Client, CustomStorage),
    /// The URL of a database.
    Postgres(String),
}

impl Store {
    pub(crate) fn new(kind: StoreKind) -> Self {
        match kind {
            StoreKind::File => Self::File(tempfile::tempdir().expect("a folder")),
            StoreKind::Keyring => {
                let home = tempfile::tempdir().expect("a folder");
                let item = KeyringItem::login(&home.path().canonicalize().expect("a path"));
                Self::Keyring(home, item)
            }
            StoreKind::Ephemeral => Self::Ephemeral(EphemeralStorage::default()),
            StoreKind::Custom => {
                let client = Client::new("case", &Arc::default());
                let storage = client.storage(Environment::default());
                Self::Custom(client, storage)
            }
            StoreKind::Postgres => {
                let url = std::env::var_os(DATABASE).expect("a URL");
                Self::Postgres(url.into_string().expect("text"))
            }
        }
    }

    pub(crate) fn storage(&self) -> Arc<dyn AuthStorage> {
        match self {
            Self::File(home) => Arc::new(FileStorage::new(home.path(), Environment::default())),
            Self::Keyring(home, _) => {
                let environment = Environment::default();
                Arc::new(KeyringStorage::new(home.path(), system_keyring(), environment))
            }
            Self::Ephemeral(storage) => Arc::new(storage.clone()),
            Self::Custom(_, storage) => Arc::new(storage.clone()),
            Self::Postgres(url) => Arc::new(row(url)),
        }
    }

    pub(crate) fn read(&self) -> Option<String> {
        match self {
            Self::File(home) => std::fs::read_to_string(auth_json(home.path())).ok(),
            Self::Keyring(_, item) => secret_tool::look_up(item),
            Self::Ephemeral(storage) => {
                storage.record().map(|record| record.to_json_pretty().expose().to_owned())
            }
            Self::Custom(client, _) => {
                client.row().record.as_ref().map(|record| record.expose().to_owned())
            }
            Self::Postgres(url) => {
                let record = "SELECT convert_from(record, 'UTF8') FROM codex_auth_sdk_logins";
                postgres::ask(url, record).pop().and_then(|mut row| row.pop())
            }
        }
    }

    pub(crate) fn write(&self, text: Option<&str>, in_place: bool) -> Result<(), String> {
        match (self, text) {
            (Self::Ephemeral(storage), text) => {
                let parse = |text: &str| {
                    AuthDotJson::parse(text.as_bytes()).map_err(|error| error.to_string())
                };
                storage.replace(text.map(parse).transpose()?);
            }
            (Self::Custom(client, _), text) => client.put(text),
            (Self::Postgres(url), text) => replace_row(url, text),
            (Self::Keyring(_, item), Some(text)) => secret_tool::store(item, text),
            (Self::Keyring(_, item), None) => secret_tool::clear(item),
            (Self::File(home), Some(text)) if in_place => write_file(&auth_json(home.path()), text),
            (Self::File(home), Some(text)) => {
                let temp = home.path().join("foreign.tmp");
                write_file(&temp, text);
                std::fs::rename(temp, auth_json(home.path())).expect("renamed");
            }
            (Self::File(home), None) => drop(std::fs::remove_file(auth_json(home.path()))),
        }
        Ok(())
    }

    /// Writes `text` in place after `delay`, as a slow writer finishes.
    pub(crate) fn heal(&self, text: String, delay: Duration) -> Result<(), String> {
        let Self::File(home) = self else {
            return Err("only a file can be half-written".to_owned());
        };
        let path = auth_json(home.path());
        drop(tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            write_file(&path, &text);
        }));
        Ok(())
    }
}

fn row(url: &str) -> PostgresStorage {
    let mut options = PostgresOptions::default();
    options.login = Some(LOGIN.to_owned());
    options.store_key = Some(Secret::new("plaintext"));
    PostgresStorage::new(&Secret::new(url), options, Environment::default()).expect("options")
}

fn replace_row(url: &str, text: Option<&str>) {
    let statement = match text {
        Some(text) => {
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!(
                "INSERT INTO codex_auth_sdk_logins (login, id, version, record)
                 VALUES ('{LOGIN}', gen_random_uuid(), gen_random_uuid(), '\\x{hex}')
                 ON CONFLICT (login) DO UPDATE
                 SET version = excluded.version, record = excluded.record"
            )
        }
        None => "DELETE FROM codex_auth_sdk_logins".to_owned(),
    };
    drop(postgres::ask(url, &statement));
}

fn auth_json(home: &Path) -> PathBuf {
    home.join("auth.json")
}

fn write_file(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}
