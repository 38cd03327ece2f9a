//! A sign-in whose state the store keeps, so that another process can finish it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::options::LoginOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::state::State;
use crate::storage::{KeptLogins, Turn};
use crate::tasks;

/// What the store keeps of a sign-in of the kind `T`.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    sign_in: T,
    options: LoginOptions,
}

/// A sign-in that the store of `state` keeps under an id.
#[derive(Clone)]
pub(super) struct Kept {
    state: Arc<State>,
    id: String,
}

impl Kept {
    /// Has the store keep a sign-in; none if it keeps none.
    pub(super) async fn new<T: Serialize>(
        state: &Arc<State>,
        sign_in: &T,
        options: &LoginOptions,
        lifetime: Duration,
    ) -> Result<Option<Self>> {
        let Some(logins) = state.storage.kept_logins() else { return Ok(None) };
        let stored = Stored { sign_in, options: options.clone() };
        let text = serde_json::to_string(&stored).map(Secret::new).map_err(|error| {
            let message = format!("the state of the sign-in cannot be stored: {error}");
            Error::new(ErrorKind::LoginFailed, message)
        })?;
        let id = logins.keep(&text, lifetime).await?;
        Ok(Some(Self { state: Arc::clone(state), id }))
    }

    /// Reads the sign-in `id` from the store. The options have the time that is left.
    ///
    /// # Errors
    ///
    /// `not_supported_by_store`; `login_cancelled` if it has ended; `login_failed` if it is of another
    /// kind; `store_unavailable`.
    pub(super) async fn read<T: DeserializeOwned + Send + 'static>(
        state: &Arc<State>,
        id: &str,
    ) -> Result<(T, LoginOptions, Self)> {
        let kept = Self { state: Arc::clone(state), id: id.to_owned() };
        tasks::run_read(&state.environment, async move {
            let found = kept.logins()?.read(&kept.id).await?.ok_or_else(ended)?;
            // The error would show what is stored.
            let stored = serde_json::from_str(found.state.expose()).map_err(|_| {
                let message = "this sign-in was begun in another way, or by another version of this \
                               library; sign in again";
                Error::new(ErrorKind::LoginFailed, message)
            });
            let Stored { sign_in, mut options } = stored?;
            options.timeout = Some(found.left.max(Duration::from_millis(1)));
            Ok((sign_in, options, kept))
        })
        .await?
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Takes the turn to ask the server. Returns whether this process has it.
    ///
    /// # Errors
    ///
    /// `login_cancelled` if the sign-in has ended; those of [`KeptLogins::take_turn`].
    pub(super) async fn take_turn(&self, pause: Duration) -> Result<bool> {
        match self.logins()?.take_turn(&self.id, pause).await? {
            Turn::Ours => Ok(true),
            Turn::Others => Ok(false),
            Turn::Ended => Err(ended()),
        }
    }

    /// Ends the sign-in for all processes, so that this one finishes it.
    ///
    /// # Errors
    ///
    /// `login_cancelled` if it has ended; those of [`KeptLogins::end`].
    pub(super) async fn end(&self) -> Result<()> {
        self.logins()?.end(&self.id).await?.then_some(()).ok_or_else(ended)
    }

    /// Ends the sign-in for all processes, in the background.
    pub(super) fn cancel(&self) {
        let kept = self.clone();
        let ending = async move {
            if let Err(error) = kept.end().await
                && error.kind() != ErrorKind::LoginCancelled
            {
                tracing::warn!(%error, "the cancelled sign-in can be finished until its time is over");
            }
        };
        if let Err(error) = tasks::start(&self.state.environment, Box::pin(ending)) {
            tracing::warn!(%error, "the cancelled sign-in can be finished until its time is over");
        }
    }

    fn logins(&self) -> Result<&dyn KeptLogins> {
        self.state.storage.kept_logins().ok_or_else(|| {
            let place = self.state.storage.location();
            let message = format!(
                "{place} keeps no sign-ins, so only the process that began one can finish it; use \
                 PostgreSQL, or begin another one"
            );
            Error::new(ErrorKind::NotSupportedByStore, message)
        })
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

/// Returns the error of a caller whose sign-in is not kept any more.
fn ended() -> Error {
    Error::new(
        ErrorKind::LoginCancelled,
        "this sign-in has ended: its time is over, or a process has finished or cancelled it; the \
         stored login stays",
    )
}
