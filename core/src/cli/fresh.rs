//! A login whose access token is fresh, at the end of a command that needs no more.

use std::time::Duration;

use super::console;
use super::failure::{Failure, Result};
use crate::{AuthManagerBuilder, CodexAuth, Event};

/// How often it is looked whether a refresh in the background is done.
const PAUSE: Duration = Duration::from_millis(50);

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
    // New tokens that cannot be saved yet still work.
    while !manager.close(PAUSE).await && !manager.pending_save() {}
    let auth = manager.auth();
    drop(manager);
    while let Some(event) = events.next().await {
        if let Event::RefreshFailed(error) = event {
            console::warn(&format!("the login could not be refreshed: {error}"));
        }
    }
    auth.ok_or_else(Failure::not_signed_in)
}
