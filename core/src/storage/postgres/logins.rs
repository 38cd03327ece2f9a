//! All logins of a database, for its operator: what they are, and the first key for each.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::address::Address;
use super::failure::odd_columns;
use super::sealing::{Sealed, StoreKeys, Subject};
use super::server::{Effect, Server, Statement};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Reads the logins whose names come after `$1`, as many as one answer is to have.
const LIST: Statement = Statement {
    text: "
SELECT login, key_id, record, (extract(epoch FROM changed_at) * 1000)::bigint,
       holder IS NOT NULL AND coalesce(claim_end > clock_timestamp(), false)
FROM codex_auth_sdk_logins WHERE login > $1 ORDER BY login LIMIT 100",
    effect: Effect::Reads,
};

/// Reads the logins whose names come after `$1` and whose records are not encrypted by the key `$2`, as
/// many as one answer is to have.
const OTHERS: Statement = Statement {
    text: "
SELECT login, key_id, record, version,
       holder IS NOT NULL AND coalesce(claim_end > clock_timestamp(), false)
FROM codex_auth_sdk_logins WHERE login > $1 AND key_id IS DISTINCT FROM $2
ORDER BY login LIMIT 100",
    effect: Effect::Reads,
};

/// Replaces the record by the record under another key. The version stays, since the login is what it
/// was: a manager that read the old one may save onto the new one.
const REKEY: Statement = Statement {
    text: "
UPDATE codex_auth_sdk_logins SET key_id = $3, record = $4
WHERE login = $1 AND version = $2
  AND (holder IS NULL OR coalesce(claim_end <= clock_timestamp(), true))
RETURNING true",
    effect: Effect::Writes,
};

/// How often logins that could not be encrypted anew are looked at again, and after which time. Most
/// refreshes take less.
const MOST_PASSES: usize = 6;
const PAUSE: Duration = Duration::from_millis(500);

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

/// A login whose record is not encrypted by the first key.
#[derive(Debug)]
struct Other {
    name: String,
    sealed: Sealed,
    version: String,
    is_claimed: bool,
}

/// What became of the logins whose records were not encrypted by the first key.
#[derive(Debug, Default)]
pub(crate) struct Rekeyed {
    /// How many are encrypted by it now.
    pub(crate) done: usize,
    /// How many are left because a manager has claimed them. One that does not know the first key could
    /// not read what it saves onto, and lose the tokens that it is about to get.
    pub(crate) claimed: usize,
    /// How many are left because another program has just changed them.
    pub(crate) changed: usize,
    /// Why no key opens the others, for each of them.
    pub(crate) closed: Vec<Error>,
}

impl Rekeyed {
    /// Returns how many are left to another try.
    pub(crate) const fn left(&self) -> usize {
        self.claimed + self.changed
    }
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

    /// Encrypts the records that are not encrypted by the first key, by that. What a manager has
    /// claimed, or another program changes meanwhile, is tried again for a while.
    ///
    /// # Errors
    ///
    /// `store_unavailable`, `store_read_only`; what is done by then stays.
    pub(crate) async fn rekey(&self) -> Result<Rekeyed> {
        let mut all = self.rekey_once().await?;
        for _ in 1..MOST_PASSES {
            if all.left() == 0 {
                break;
            }
            self.server.environment().clock.sleep(PAUSE).await;
            let done = all.done;
            all = self.rekey_once().await?;
            all.done += done;
        }
        Ok(all)
    }

    async fn rekey_once(&self) -> Result<Rekeyed> {
        let (mut found, mut last) = (Rekeyed::default(), String::new());
        loop {
            let page = self.others(&last).await?;
            let Some(end) = page.last() else { return Ok(found) };
            last.clone_from(&end.name);
            for other in page {
                self.rekey_one(other, &mut found).await?;
            }
        }
    }

    async fn rekey_one(&self, other: Other, found: &mut Rekeyed) -> Result<()> {
        let Other { name, sealed, version, is_claimed } = other;
        if is_claimed {
            found.claimed += 1;
            return Ok(());
        }
        let record =
            match self.keys.open(Subject::Login(&name), sealed, &self.server.place_of(&name)) {
                Ok(record) => record,
                Err(error) => {
                    found.closed.push(error);
                    return Ok(());
                }
            };
        let sealed = self.keys.seal(Subject::Login(&name), &record)?;
        let values = [
            (&name as _, Type::TEXT),
            (&version as _, Type::TEXT),
            (&sealed.key_id as _, Type::TEXT),
            (&sealed.bytes as _, Type::BYTEA),
        ];
        let is_done = !self.server.ask(&REKEY, &values).await?.is_empty();
        *(if is_done { &mut found.done } else { &mut found.changed }) += 1;
        Ok(())
    }

    async fn others(&self, name: &str) -> Result<Vec<Other>> {
        let first = self.keys.first();
        let values = [(&name as _, Type::TEXT), (&first as _, Type::TEXT)];
        let rows = self.server.ask(&OTHERS, &values).await?;
        let others: Result<_, tokio_postgres::Error> = rows.iter().map(other).collect();
        others.map_err(|error| odd_columns(self.server.place(), &error))
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

fn other(row: &Row) -> Result<Other, tokio_postgres::Error> {
    Ok(Other {
        name: row.try_get(0)?,
        sealed: Sealed { key_id: row.try_get(1)?, bytes: row.try_get(2)? },
        version: row.try_get(3)?,
        is_claimed: row.try_get(4)?,
    })
}
