//! The end of a command: what is in flight is saved first.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::console;
use super::failure::Result;
use super::signals::{Signal, Signals};
use crate::bindings::finish;
use crate::{Error, ErrorKind};

/// More than a refresh takes.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// After this time the user is told what the command waits for.
const UNNOTICED: Duration = Duration::from_secs(1);

const PAUSE: Duration = Duration::from_millis(5);

/// Waits until no refresh is in flight and all tokens are saved. A signal that comes meanwhile ends
/// the waiting.
///
/// # Errors
///
/// `save_failed` in the result if that takes too long.
pub(super) async fn settle(signals: &mut Signals) -> std::result::Result<Result, Signal> {
    let start = Instant::now();
    let mut is_told = false;
    while !finish(Duration::ZERO) {
        let waited = start.elapsed();
        if waited > LONGEST {
            let message = "the refreshed tokens could not be saved, and may be lost; see to what the \
                           warning names, then run: codex-auth-sdk status";
            return Ok(Err(Error::new(ErrorKind::SaveFailed, message).into()));
        }
        if waited > UNNOTICED && !is_told {
            is_told = true;
            console::tell(
                "Waiting until the refreshed tokens are saved. To stop this now may end the login.",
            );
        }
        signals.unless_ended(sleep(PAUSE)).await?;
    }
    Ok(Ok(()))
}
