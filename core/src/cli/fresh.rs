//! A login whose access token is fresh, at the end of a command that needs no more.

use std::future::ready;

use super::console;
use super::failure::{Failure, Result};
use super::settling::LONGEST;
use crate::{AuthManagerBuilder, CodexAuth, Event, Events};

/// Returns the login. A refresh that is due comes first: this process ends before it would need the
/// token that a refresh in the background brings.
///
/// # Errors
///
/// `login_required`, and those of [`AuthManager::fresh_auth`](crate::AuthManager::fresh_auth). Where
/// the refresh of a token fails that has not ended, that is a warning.
pub(super) async fn fresh_login(builder: AuthManagerBuilder) -> Result<CodexAuth> {
    let manager = builder.build().await?;
    let mut events = manager.subscribe();
    manager.fresh_auth().await?;
    tokio::select! {
        biased;
        // New tokens that cannot be saved yet still work.
        () = until_a_save_fails(&mut events) => {}
        _ = manager.close(LONGEST) => {}
    }
    tokio::select! {
        biased;
        () = until_a_save_fails(&mut events) => {}
        // Nothing more has happened by now.
        () = ready(()) => {}
    }
    manager.auth().ok_or_else(Failure::not_signed_in)
}

/// Warns of each refresh that has failed, until a save has.
async fn until_a_save_fails(events: &mut Events) {
    while let Some(event) = events.next().await {
        match event {
            Event::RefreshFailed(error) => {
                console::warn(&format!("the login could not be refreshed: {error}"));
            }
            Event::SaveFailed(_) => return,
            _ => {}
        }
    }
}
