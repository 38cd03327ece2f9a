//! What the token endpoint answers where it is asked for its time.

use chrono::TimeDelta;
use serde::Serialize;

use crate::AuthManager;
use crate::cli::failure::Details;

#[derive(Serialize)]
pub(super) struct Server {
    /// By how many seconds the clock of this machine is ahead; none if that is not known.
    pub(super) clock_ahead_seconds: Option<i64>,
    /// Why there was no answer.
    pub(super) error: Option<Details>,
}

impl Server {
    pub(super) async fn ask(manager: &AuthManager) -> Self {
        let answer = manager.clock_ahead().await;
        let error = answer.as_ref().err().map(Details::from);
        let ahead = answer.ok().flatten().as_ref().map(TimeDelta::num_seconds);
        Self { clock_ahead_seconds: ahead, error }
    }
}
