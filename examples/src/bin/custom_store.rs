//! A request with a login that is kept in a database instead of the Codex CLI's files.
//!
//! `custom_store import DATABASE RECORD` moves an `auth.json` into the database, so that nobody else
//! refreshes its login; `custom_store DATABASE URL [ALLOWED_ORIGIN...]` sends a request with it.
//!
//! The database is redb, which one process has at a time: no lock is needed that others would see.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::fs;
use std::sync::Arc;

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{CustomStorage, CustomStore, StoreAnswer, StoreFailure, Stored};
use codex_auth_sdk::{AuthClient, AuthManager, Secret};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

const LOGIN: TableDefinition<'_, (), (u64, String)> = TableDefinition::new("login");

/// One row: the record, and how often it was saved.
#[derive(Debug)]
struct Row(Database);

impl Row {
    fn open(path: &str) -> Result<Self, StoreFailure> {
        let database = Database::create(path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(LOGIN)?;
        transaction.commit()?;
        Ok(Self(database))
    }

    fn read(&self) -> Result<Option<Stored>, StoreFailure> {
        let row = self.0.begin_read()?.open_table(LOGIN)?.get(())?;
        Ok(row.map(|row| {
            let (version, record) = row.value();
            Stored::new(Secret::new(record), version.to_string())
        }))
    }

    /// Puts `record` there if the row still is `expected`; both within one transaction.
    fn swap(&self, record: Option<&str>, expected: Option<&str>) -> Result<bool, StoreFailure> {
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(LOGIN)?;
            let saves = table.get(())?.map(|row| row.value().0);
            if saves.map(|saves| saves.to_string()).as_deref() != expected {
                return Ok(false);
            }
            match record {
                Some(record) => table.insert((), (saves.unwrap_or(0) + 1, record.to_owned()))?,
                None => table.remove(())?,
            };
        }
        transaction.commit()?;
        Ok(true)
    }
}

impl CustomStore for Row {
    fn location(&self) -> String {
        "the database of this example".to_owned()
    }

    fn load(&self) -> StoreAnswer<'_, Option<Stored>> {
        Box::pin(async { self.read() })
    }

    fn save<'a>(&'a self, record: &'a Secret, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
        Box::pin(async move { self.swap(Some(record.expose()), expected) })
    }

    fn delete<'a>(&'a self, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
        Box::pin(async move { self.swap(None, expected) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StoreFailure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["import", database, record] => import(&Row::open(database)?, record),
        [database, url, origins @ ..] => send(Row::open(database)?, url, origins).await,
        _ => Err("usage: custom_store DATABASE URL [ALLOWED_ORIGIN...]".into()),
    }
}

fn import(row: &Row, path: &str) -> Result<(), StoreFailure> {
    if !row.swap(Some(&fs::read_to_string(path)?), None)? {
        return Err("the database has a login already".into());
    }
    Ok(fs::remove_file(path)?)
}

async fn send(row: Row, url: &str, origins: &[&str]) -> Result<(), StoreFailure> {
    let storage = CustomStorage::new(Arc::new(row), Environment::default());
    let manager = AuthManager::builder()
        .storage(Arc::new(storage))
        .allowed_origins(origins.iter().map(ToString::to_string).collect())
        .build()
        .await?;
    let client = AuthClient::new(manager)?;
    let response = client.send(client.http().get(url)).await?;
    println!("{}", response.status().as_u16());
    Ok(())
}
