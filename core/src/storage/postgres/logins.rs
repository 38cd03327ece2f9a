//! All logins of a database, for its operator.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::address::Address;
use super::failure::odd_columns;
use super::sealing::{Sealed, StoreKeys};
use super::server::{Effect, Server, Statement};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::Environment;
use crate::error::Result;
use crate::secret::Secret;

/// Reads the logins whose names come after `$1`, as many as one answer is to have.
const LIST: Statement = Statement {
    text: "
SELECT login, key_id, record, (extract(epoch FROM changed_at) * 1000)::bigint,
       holder IS NOT NULL AND coalesce(claim_end > clock_timestamp(), false)
FROM codex_auth_sdk_logins WHERE login > $1 ORDER BY login LIMIT 100",
    effect: Effect::Reads,
};

/// The logins of a database that this role may see.
#[derive(Debug)]
pub(crate) struct PostgresLogins {
    server: Server,
    keys: StoreKeys,
}

/// A login as it is stored.
#[derive(Debug)]
pub(crate) struct StoredLogin {
    pub(crate) name: String,
    /// The record, or why it cannot be read.
    pub(crate) record: Result<Arc<AuthDotJson>>,
    /// When it was stored, by the clock of the database.
    pub(crate) changed_at: DateTime<Utc>,
    /// Whether a manager has claimed it for a refresh.
    pub(crate) is_claimed: bool,
}

impl PostgresLogins {
    /// Returns the logins of the database at `url`, without connecting. The keys are those of the
    /// environment.
    ///
    /// # Errors
    ///
    /// `invalid_option`
    pub(crate) fn at(url: &Secret, environment: Environment) -> Result<Self> {
        let (address, _) = Address::parse(url)?;
        Ok(Self { keys: StoreKeys::named(None)?, server: Server::new(address, environment) })
    }

    /// Reads the first logins whose names come after `name`, in the order of names; nothing comes after
    /// the last one.
    ///
    /// # Errors
    ///
    /// `store_unavailable`
    pub(crate) async fn after(&self, name: &str) -> Result<Vec<StoredLogin>> {
        let rows = self.server.ask(&LIST, &[(&name as _, Type::TEXT)]).await?;
        let logins = rows.iter().map(|row| self.login(row));
        let logins: Result<_, tokio_postgres::Error> = logins.collect();
        logins.map_err(|error| odd_columns(self.server.place(), &error))
    }

    fn login(&self, row: &Row) -> Result<StoredLogin, tokio_postgres::Error> {
        let name: String = row.try_get(0)?;
        let sealed = Sealed { key_id: row.try_get(1)?, bytes: row.try_get(2)? };
        let record = self.keys.open_record(&name, sealed, &self.server.place_of(&name));
        Ok(StoredLogin {
            record: record.map(Arc::new),
            changed_at: DateTime::from_timestamp_millis(row.try_get(3)?).unwrap_or_default(),
            is_claimed: row.try_get(4)?,
            name,
        })
    }
}
