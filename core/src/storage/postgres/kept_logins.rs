//! Sign-ins that wait for their users, in a table beside the logins.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::PostgresStorage;
use super::failure::odd_columns;
use super::row::unique_name;
use super::sealing::{Sealed, Subject};
use super::server::{Effect, Statement};
use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::storage::{KeptLogin, KeptLogins, Turn};

/// Keeps a sign-in, and removes those whose time is over.
const KEEP: Statement = Statement {
    text: "
WITH over AS (
    SELECT id FROM codex_auth_sdk_sign_ins
    WHERE ends_at <= clock_timestamp() FOR UPDATE SKIP LOCKED
), removed AS (
    DELETE FROM codex_auth_sdk_sign_ins WHERE id IN (SELECT id FROM over)
)
INSERT INTO codex_auth_sdk_sign_ins (id, login, key_id, state, ends_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 millisecond')
ON CONFLICT (id) DO NOTHING",
    effect: Effect::Writes,
};

const READ: Statement = Statement {
    text: "
SELECT key_id, state, (extract(epoch FROM ends_at - clock_timestamp()) * 1000)::bigint
FROM codex_auth_sdk_sign_ins
WHERE id = $1 AND login = $2 AND ends_at > clock_timestamp()",
    effect: Effect::Reads,
};

/// Returns whether the turn was taken; no row if the sign-in has ended.
const TAKE_TURN: Statement = Statement {
    text: "
WITH turn AS (
    UPDATE codex_auth_sdk_sign_ins
    SET next_turn = clock_timestamp() + $3 * interval '1 millisecond'
    WHERE id = $1 AND login = $2 AND next_turn <= clock_timestamp() RETURNING id
)
SELECT EXISTS (SELECT FROM turn) FROM codex_auth_sdk_sign_ins
WHERE id = $1 AND login = $2 AND ends_at > clock_timestamp()",
    effect: Effect::Writes,
};

const END: Statement = Statement {
    text: "
DELETE FROM codex_auth_sdk_sign_ins
WHERE id = $1 AND login = $2 AND ends_at > clock_timestamp() RETURNING true",
    effect: Effect::WritesOnce,
};

impl PostgresStorage {
    /// Returns which table this is, for error messages. The id of a sign-in is not told.
    fn place_of_sign_ins(&self) -> String {
        format!("a sign-in for {}", self.row.place())
    }

    fn subject<'a>(&'a self, id: &'a str) -> Subject<'a> {
        Subject::SignIn { login: self.row.login(), id }
    }

    async fn ask_of(&self, statement: &Statement, id: &str) -> Result<Vec<Row>> {
        let values = [(&id as _, Type::TEXT), (&self.row.login() as _, Type::TEXT)];
        self.row.server().ask(statement, &values).await
    }

    async fn keep_login(&self, state: &Secret, lifetime: Duration) -> Result<String> {
        let id = unique_name()?;
        let sealed = self.keys.seal(self.subject(&id), state.expose().as_bytes())?;
        let lifetime = milliseconds(lifetime);
        let values = [
            (&id as _, Type::TEXT),
            (&self.row.login() as _, Type::TEXT),
            (&sealed.key_id as _, Type::TEXT),
            (&sealed.bytes as _, Type::BYTEA),
            (&lifetime as _, Type::INT8),
        ];
        self.row.server().ask(&KEEP, &values).await.map(|_| id)
    }

    async fn read_login(&self, id: &str) -> Result<Option<KeptLogin>> {
        let rows = self.ask_of(&READ, id).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let place = self.place_of_sign_ins();
        let (sealed, left) = kept(row).map_err(|error| odd_columns(&place, &error))?;
        let state = self.keys.open(self.subject(id), sealed, &place)?;
        let state = str::from_utf8(&state).map_err(|_| {
            let message = format!("{place} is no text; sign in again");
            Error::new(ErrorKind::StoreUnavailable, message)
        })?;
        Ok(Some(KeptLogin::new(Secret::new(state), left)))
    }

    async fn take_turn_of(&self, id: &str, pause: Duration) -> Result<Turn> {
        let pause = milliseconds(pause);
        let values = [
            (&id as _, Type::TEXT),
            (&self.row.login() as _, Type::TEXT),
            (&pause as _, Type::INT8),
        ];
        let rows = self.row.server().ask(&TAKE_TURN, &values).await?;
        let is_taken = rows.first().map(|row| row.try_get(0)).transpose();
        let is_taken = is_taken.map_err(|error| odd_columns(&self.place_of_sign_ins(), &error))?;
        Ok(match is_taken {
            Some(true) => Turn::Ours,
            Some(false) => Turn::Others,
            None => Turn::Ended,
        })
    }
}

impl KeptLogins for PostgresStorage {
    fn keep<'a>(&'a self, state: &'a Secret, lifetime: Duration) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.keep_login(state, lifetime))
    }

    fn read<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<KeptLogin>>> {
        Box::pin(self.read_login(id))
    }

    fn take_turn<'a>(&'a self, id: &'a str, pause: Duration) -> BoxFuture<'a, Result<Turn>> {
        Box::pin(self.take_turn_of(id, pause))
    }

    fn end<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { self.ask_of(&END, id).await.map(|rows| !rows.is_empty()) })
    }
}

fn kept(row: &Row) -> Result<(Sealed, Duration), tokio_postgres::Error> {
    let sealed = Sealed { key_id: row.try_get(0)?, bytes: row.try_get(1)? };
    let left: i64 = row.try_get(2)?;
    Ok((sealed, Duration::from_millis(left.try_into().unwrap_or_default())))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
