//! Why a move is refused or was interrupted, where the login is then, and what to do.

use super::Relocation;
use super::found::{Found, mismatch};
use crate::auth_dot_json::ParkingMark;
use crate::error::{Error, ErrorKind};

/// What to do about a login that waits, where only the user can know whether another program has it.
const DECIDE: &str = "if another program has that login by now, or it was signed out, remove the copy that \
                      waits (logout --no-revoke, on that store); if none has it, run the move again with \
                      --complete";

impl Relocation {
    /// There is no login in the old place.
    pub(super) fn nothing_to_move(&self, target: &Found) -> Error {
        let (from, to) = (self.from.location(), self.to.location());
        let there =
            if target.login.is_some() { format!("; {to} holds one") } else { String::new() };
        Error::new(ErrorKind::LoginRequired, format!("no login is stored in {from}{there}"))
    }

    /// The new place holds another login.
    pub(super) fn is_taken(&self) -> Error {
        let to = self.to.location();
        mismatch(format!(
            "{to} holds another login, which a move does not replace; log out there first"
        ))
    }

    /// Beside the new place another login waits for a move from the same place.
    pub(super) fn another_waits(&self) -> Error {
        let (place, from) = (self.to.parking.location(), self.from.location());
        mismatch(format!(
            "{place} holds another login, whose move from {from} was interrupted; log out there to \
             give it up"
        ))
    }

    /// Beside the new place a login waits for a move from another place.
    pub(super) fn other_origin(&self, mark: &ParkingMark) -> Error {
        let (place, from) = (self.to.parking.location(), &mark.from);
        mismatch(format!(
            "{place} holds the login of a move from {from} that was interrupted; complete that one \
             first, by running it again"
        ))
    }

    /// Beside the old place a login waits.
    pub(super) fn incomplete(&self, mark: &ParkingMark) -> Error {
        let (from, to) = (&mark.from, self.from.location());
        mismatch(format!(
            "a move from {from} to {to} was interrupted, and the login waits in {}; complete that one \
             first, by running it again",
            self.from.parking.location()
        ))
    }

    /// The login waits for a move that another machine has begun.
    pub(super) fn begun_elsewhere(&self) -> Error {
        let (place, from) = (self.to.parking.location(), self.from.location());
        mismatch(format!(
            "{place} holds the login of a move from {from} that was begun on another machine or with \
             another CODEX_HOME, or that was interrupted as it stored the login; if it was begun \
             elsewhere, run it again there. Where that cannot be done: {DECIDE}"
        ))
    }

    /// The old place is empty, and nothing shows that this move has emptied it.
    pub(super) fn in_doubt(&self) -> Error {
        let (place, from) = (self.to.parking.location(), self.from.location());
        mismatch(format!(
            "{place} holds the login of a move that was interrupted, and nothing shows that it was this \
             move that has emptied {from}: {DECIDE}"
        ))
    }

    /// Returns the `error` of a removal that may have been made.
    pub(super) fn may_be_empty(&self, error: &Error) -> Error {
        let (place, from) = (self.to.parking.location(), self.from.location());
        Error::new(
            error.kind(),
            format!(
                "{error}; the login is still in {from}, or else its copy in {place} is the only one: \
                 correct that, and run the move again"
            ),
        )
    }

    /// Returns the `error` of a move that another run completes.
    pub(super) fn waits(&self, error: &Error) -> Error {
        let (place, from) = (self.to.parking.location(), self.from.location());
        Error::new(
            error.kind(),
            format!(
                "{error}; the login is no longer in {from} and waits in {place}: correct that, and run \
                 the move again"
            ),
        )
    }
}
