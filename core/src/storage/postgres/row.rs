//! The row of one login.

use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::failure::odd_columns;
use super::sealing::Sealed;
use super::server::{Server, Statement, Turn};
use super::statements::{
    CLAIM, CREATE, CUT, DELETE, DELETE_CLAIMED, LOAD, NOTE, PROVE, PROVE_CREATE, RELEASE, RENEW,
    REPLACE,
};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::storage::Swap;

/// The row of the login of this name.
#[derive(Debug, Clone)]
pub(super) struct LoginRow {
    server: Arc<Server>,
    login: String,
}

/// What a row holds.
#[derive(Debug)]
pub(super) struct Content {
    /// By which changes of the row are announced.
    pub(super) id: String,
    pub(super) version: String,
    pub(super) sealed: Sealed,
    pub(super) ledger: Vec<u8>,
    pub(super) claim: Option<Claim>,
}

/// A claim that a manager has made on a row.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) holder: String,
    /// How many milliseconds it lasts unless it is renewed.
    length: i64,
    /// How many of them are left, by the clock of the database.
    left: i64,
}

impl Claim {
    /// Returns how much of it is left, by the clock of the database.
    pub(super) fn left(&self) -> Duration {
        Duration::from_millis(self.left.min(self.length).try_into().unwrap_or_default())
    }

    /// Returns whether its holder has not renewed it in time.
    pub(super) const fn has_ended(&self) -> bool {
        self.left <= 0
    }

    /// Returns how long ago it has ended, by the clock of the database.
    pub(super) fn over(&self) -> Duration {
        Duration::from_millis(self.left.saturating_neg().try_into().unwrap_or_default())
    }

    /// Returns how long it lasts unless it is renewed.
    pub(super) fn length(&self) -> Duration {
        Duration::from_millis(self.length.try_into().unwrap_or_default())
    }

    /// Returns whether it would last longer than any claim of its holder.
    pub(super) const fn is_too_long(&self) -> bool {
        self.left > self.length
    }
}

impl LoginRow {
    pub(super) const fn new(server: Arc<Server>, login: String) -> Self {
        Self { server, login }
    }

    pub(super) fn login(&self) -> &str {
        &self.login
    }

    pub(super) const fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Returns which row this is, for error messages.
    pub(super) fn place(&self) -> String {
        self.server.place_of(&self.login)
    }

    /// Reads the row; none if there is none.
    pub(super) async fn load(&self) -> Result<Option<Content>> {
        let rows = self.server.ask(&LOAD, &[(&self.login, Type::TEXT)]).await?;
        rows.first().map(|row| content(row).map_err(|error| self.odd(&error))).transpose()
    }

    /// Replaces the record if it still has the version `expected`, none for no row. Returns whether it
    /// did.
    pub(super) async fn replace(&self, expected: Option<&str>, sealed: &Sealed) -> Result<bool> {
        let (statement, last) = match expected {
            Some(version) => (&REPLACE, version.to_owned()),
            None => (&CREATE, unique_name()?),
        };
        let values = [
            (&self.login as _, Type::TEXT),
            (&unique_name()? as _, Type::TEXT),
            (&sealed.key_id as _, Type::TEXT),
            (&sealed.bytes as _, Type::BYTEA),
            (&last as _, Type::TEXT),
        ];
        self.server.ask(statement, &values).await.map(|rows| !rows.is_empty())
    }

    /// Removes the row if it still has the version `expected`. Returns whether it did.
    pub(super) async fn delete(&self, expected: &str) -> Result<bool> {
        self.change(&DELETE, expected).await
    }

    /// Removes the row if it still has the version `expected`, and `holder` its claim. Returns whether
    /// it did.
    pub(super) async fn delete_claimed(&self, expected: &str, holder: &str) -> Result<bool> {
        let values = [
            (&self.login as _, Type::TEXT),
            (&expected as _, Type::TEXT),
            (&holder as _, Type::TEXT),
        ];
        self.server.ask(&DELETE_CLAIMED, &values).await.map(|rows| !rows.is_empty())
    }

    /// Fails if the record could not be replaced, or could not be made where there is none.
    pub(super) async fn prove(&self) -> Result<()> {
        let is_there = !self.server.ask(&PROVE, &[(&self.login, Type::TEXT)]).await?.is_empty();
        if is_there { Ok(()) } else { self.server.ask(&PROVE_CREATE, &[]).await.map(drop) }
    }

    /// Claims the row for `holder` if it is free, or if it is still as the holder `vanished` has left
    /// it. Returns the ledger, or none if another manager has the claim, if the database may have lost
    /// commits, or there is no row.
    pub(super) async fn claim(
        &self,
        holder: &str,
        length: Duration,
        vanished: Option<(&str, &[u8])>,
    ) -> Result<Option<Ledger>> {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let (name, ledger) = vanished.unzip();
        let values = [
            (&self.login as _, Type::TEXT),
            (&holder as _, Type::TEXT),
            (&length as _, Type::INT8),
            (&name as _, Type::TEXT),
            (&ledger as _, Type::BYTEA),
        ];
        let rows = self.server.ask(&CLAIM, &values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let claimed = row.try_get(0).and_then(|ledger| Ok((ledger, row.try_get(1)?)));
        let (ledger, is_own): (Vec<u8>, bool) = claimed.map_err(|error| self.odd(&error))?;
        if !is_own {
            tracing::warn!(
                store = %self.place(),
                wait = ?Duration::from_millis(length.unsigned_abs()),
                "a standby of the database has become the primary, and may have missed new tokens; \
                 nothing is redeemed for a while, so that a program that has them can save them again"
            );
        }
        Ok(is_own.then(|| ledger_of(&ledger)))
    }

    /// Cuts the claim of `holder` to its length.
    pub(super) async fn cut(&self, holder: &str) -> Result<()> {
        self.change(&CUT, holder).await.map(drop)
    }

    /// Renews the claim of `holder`. Returns whether it still has it.
    pub(super) async fn renew(&self, holder: &str) -> Result<bool> {
        self.change(&RENEW, holder).await
    }

    /// Leaves `ledger` for the next holder, and renews the claim of `holder`. Returns whether it still
    /// has that.
    pub(super) async fn note(&self, holder: &str, ledger: &Ledger) -> Result<bool> {
        let ledger = ledger.to_bytes();
        let values = [
            (&self.login as _, Type::TEXT),
            (&holder as _, Type::TEXT),
            (&ledger as _, Type::BYTEA),
        ];
        self.server.ask(&NOTE, &values).await.map(|rows| !rows.is_empty())
    }

    /// Gives the claim of `holder` back, in this `turn`.
    pub(super) async fn release(&self, turn: Turn, holder: &str) -> Result<()> {
        let values = [(&self.login as _, Type::TEXT), (&holder as _, Type::TEXT)];
        self.server.ask_in(turn, &RELEASE, &values).await.map(drop)
    }

    /// Makes a change for which the row must have `text`. Returns whether it had.
    async fn change(&self, statement: &Statement, text: &str) -> Result<bool> {
        let values = [(&self.login as _, Type::TEXT), (&text as _, Type::TEXT)];
        self.server.ask(statement, &values).await.map(|rows| !rows.is_empty())
    }

    fn odd(&self, error: &tokio_postgres::Error) -> Error {
        odd_columns(&self.place(), error)
    }
}

/// Returns a ledger from its bytes; unreadable means empty.
pub(super) fn ledger_of(bytes: &[u8]) -> Ledger {
    Ledger::from_bytes(bytes).unwrap_or_default()
}

/// Returns what became of a compare-and-swap.
pub(super) const fn swap(is_done: bool) -> Swap {
    if is_done { Swap::Done } else { Swap::Conflict }
}

/// Returns a name that no other program makes.
pub(in crate::storage) fn unique_name() -> Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        Error::new(ErrorKind::StoreUnavailable, "the system has no random numbers; try again")
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn content(row: &Row) -> Result<Content, tokio_postgres::Error> {
    let holder: Option<String> = row.try_get(4)?;
    let (length, left) = (row.try_get(5)?, row.try_get::<_, Option<i64>>(6)?.unwrap_or_default());
    Ok(Content {
        id: row.try_get(7)?,
        version: row.try_get(0)?,
        sealed: Sealed { key_id: row.try_get(1)?, bytes: row.try_get(2)? },
        ledger: row.try_get(3)?,
        claim: holder.map(|holder| Claim { holder, length, left }),
    })
}
