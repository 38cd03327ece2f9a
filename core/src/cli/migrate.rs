//! `migrate`: makes the tables for logins in a database.

use super::arguments::Migrate;
use super::console;
use super::failure::Result;
use crate::Secret;
use crate::environment::Environment;
use crate::storage::PostgresStorage;

pub(super) async fn migrate(arguments: &Migrate) -> Result {
    let url = Secret::new(arguments.url.as_str());
    let version = PostgresStorage::migrate(&url, Environment::default()).await?;
    Ok(console::print(format_args!("The tables are those of version {version}."))?)
}
