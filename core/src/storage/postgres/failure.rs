//! How a database fails, in words without secrets.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error as DatabaseError;
use tokio_postgres::error::SqlState;

use crate::error::{Error, ErrorKind};

/// Why a database did not answer, or how.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no connection.
    Unreachable(DatabaseError),
    /// TLS cannot be set up, for this reason.
    NoTls(String),
    NoThread(io::Error),
    /// It has not answered in time.
    Silent,
    /// The tables are those of this newer version.
    TooNew(i32),
    /// There are no tables, and this role may not make them.
    NoTables(DatabaseError),
    /// It has refused a statement that only reads, or one that writes.
    Refused {
        error: DatabaseError,
        is_write: bool,
    },
}

impl Failure {
    /// Returns the error of a caller, for the database at `place`.
    pub(super) fn into_error(self, place: &str) -> Error {
        let unavailable =
            |how: String| Error::new(ErrorKind::StoreUnavailable, format!("{place} {how}"));
        match self {
            Self::Unreachable(error) => unavailable(format!(
                "cannot be reached: {}; check that it runs, and the URL of the store",
                reason(&error)
            )),
            Self::NoTls(why) => unavailable(format!("cannot be reached: {why}")),
            Self::NoThread(error) => unavailable(format!(
                "cannot be asked: a thread cannot be started: {error}; try again"
            )),
            Self::Silent => unavailable("has not answered in time; try again".to_owned()),
            Self::TooNew(version) => unavailable(format!(
                "has the tables of version {version}, which this program does not know; update it"
            )),
            Self::NoTables(error) => unavailable(format!(
                "has no tables for logins, and they cannot be made: {}; run `codex-auth-sdk migrate` \
                 with a role that may",
                reason(&error)
            )),
            Self::Refused { error, is_write } => refused(&error, is_write, place),
        }
    }
}

/// Returns the error of a caller that has read what is at `place`.
pub(super) fn odd_columns(place: &str, error: &DatabaseError) -> Error {
    let message = format!("{place} has columns of other types: {error}");
    Error::new(ErrorKind::StoreUnavailable, message)
}

fn refused(error: &DatabaseError, is_write: bool, place: &str) -> Error {
    let code = error.code();
    let is = |state: &SqlState| code == Some(state);
    let (kind, advice) = if is(&SqlState::READ_ONLY_SQL_TRANSACTION) {
        (ErrorKind::StoreReadOnly, "name the primary, say by target_session_attrs=read-write")
    } else if is(&SqlState::INSUFFICIENT_PRIVILEGE) && is_write {
        (ErrorKind::StoreReadOnly, "grant the role what it lacks")
    } else if is(&SqlState::INSUFFICIENT_PRIVILEGE) {
        (ErrorKind::StoreUnavailable, "grant the role what it lacks")
    } else if is(&SqlState::UNDEFINED_TABLE) || is(&SqlState::UNDEFINED_COLUMN) {
        (ErrorKind::StoreUnavailable, "run `codex-auth-sdk migrate`")
    } else {
        (ErrorKind::StoreUnavailable, "try again")
    };
    Error::new(kind, format!("{place} has refused: {}; {advice}", reason(error)))
}

/// Returns what the server said, or else the cause that lies deepest.
fn reason(error: &DatabaseError) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    let mut deepest = error.source();
    while let Some(next) = deepest.and_then(|cause| cause.source()) {
        deepest = Some(next);
    }
    deepest.map_or_else(|| error.to_string(), ToString::to_string)
}
