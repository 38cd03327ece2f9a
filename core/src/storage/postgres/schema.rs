//! The tables for logins, and their versions.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::failure::Failure;

/// What makes each version out of the one before. Each may be run again.
const STEPS: [&str; 2] = [
    "
CREATE TABLE IF NOT EXISTS codex_auth_sdk_schema (version integer NOT NULL);
INSERT INTO codex_auth_sdk_schema (version)
    SELECT 0 WHERE NOT EXISTS (SELECT FROM codex_auth_sdk_schema);
CREATE TABLE IF NOT EXISTS codex_auth_sdk_logins (
    login text COLLATE \"C\" PRIMARY KEY,
    -- By which changes of the row are announced. It tells nothing of the login.
    id text NOT NULL,
    -- Another one after every change of the record, but for that of its key.
    version text NOT NULL,
    -- The key that opens the record; null: it is plain text.
    key_id text,
    record bytea NOT NULL,
    -- What holders of the claim know of tokens, by their fingerprints.
    ledger bytea NOT NULL DEFAULT '',
    -- Which manager may redeem, for how long at most, and until when unless it renews that.
    holder text,
    claim_ms bigint NOT NULL DEFAULT 0,
    claim_end timestamptz,
    -- That of the server at the last claim. On another one, commits may have been lost.
    timeline text NOT NULL DEFAULT left(pg_walfile_name(pg_current_wal_lsn()), 8),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
UPDATE codex_auth_sdk_schema SET version = 1 WHERE version < 1;
",
    "
CREATE TABLE IF NOT EXISTS codex_auth_sdk_sign_ins (
    id text PRIMARY KEY,
    login text NOT NULL,
    -- The key that opens the state; null: it is plain text.
    key_id text,
    state bytea NOT NULL,
    ends_at timestamptz NOT NULL,
    -- When the server may be asked again whether the user has agreed.
    next_turn timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS codex_auth_sdk_sign_ins_ends_at ON codex_auth_sdk_sign_ins (ends_at);
UPDATE codex_auth_sdk_schema SET version = 2 WHERE version < 2;
",
];

/// Makes sure that the tables are those of this version, and makes them where this role may.
pub(super) async fn check(client: &Client) -> Result<(), Failure> {
    match version(client).await? {
        Some(version) if version >= newest() => known(version).map(drop),
        _ => migrate(client).await.map(drop),
    }
}

/// Makes or updates the tables, and returns their version.
pub(super) async fn migrate(client: &Client) -> Result<i32, Failure> {
    let found = version(client).await?.unwrap_or_default();
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        // One transaction, and one program at a time: `IF NOT EXISTS` does not wait for another one.
        let text = format!("BEGIN; SELECT pg_advisory_xact_lock(7239060152); {step} COMMIT;");
        let made = client.batch_execute(&text).await;
        if let Err(error) = made {
            client.batch_execute("ROLLBACK").await.unwrap_or_default();
            return Err(Failure::NoTables(error));
        }
    }
    known(found.max(newest()))
}

fn known(version: i32) -> Result<i32, Failure> {
    if version > newest() { Err(Failure::TooNew(version)) } else { Ok(version) }
}

fn newest() -> i32 {
    i32::try_from(STEPS.len()).unwrap_or(i32::MAX)
}

/// Returns the version of the tables; none if there are none.
async fn version(client: &Client) -> Result<Option<i32>, Failure> {
    let asked = client.query_typed("SELECT version FROM codex_auth_sdk_schema", &[]).await;
    match asked.and_then(|rows| rows.first().map(|row| row.try_get(0)).transpose()) {
        Ok(version) => Ok(version),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
        Err(error) => Err(Failure::Refused { error, is_write: false }),
    }
}
