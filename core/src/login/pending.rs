//! A sign-in in the background, which waits for its user until the program cancels it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::background::{Background, Signal};
use crate::error::{Error, ErrorKind, Result};
use crate::process::NotInherited;
use crate::snapshot::CodexAuth;
use crate::state::{Event, State};

pub(super) struct PendingLogin {
    work: Background,
    outcome: NotInherited<watch::Receiver<Option<Result<CodexAuth>>>>,
}

impl PendingLogin {
    /// Starts `work`, which must stop at its signal until it saves the login.
    pub(super) fn start<F>(state: &Arc<State>, work: impl FnOnce(Arc<Signal>) -> F) -> Self
    where
        F: Future<Output = Result<CodexAuth>> + Send + 'static,
    {
        let (sender, outcome) = watch::channel(None);
        let announcer = Arc::clone(state);
        let work = Background::start(&state.environment, |signal| {
            let work = work(signal);
            async move {
                let outcome = work.await;
                if let Err(error) = &outcome {
                    announcer.announce(Event::LoginFailed(error.clone()));
                }
                sender.send_replace(Some(outcome));
            }
        });
        Self { work, outcome: NotInherited::new(outcome) }
    }

    /// Waits for the outcome. A caller that waits does not keep the sign-in alive.
    pub(super) fn wait(&self) -> impl Future<Output = Result<CodexAuth>> + Send + use<> {
        let outcome = self.outcome.get().cloned();
        async move {
            let mut outcome = outcome.ok_or_else(inherited)?;
            let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| cancelled())?;
            outcome.clone().unwrap_or_else(|| Err(cancelled()))
        }
    }

    pub(super) fn cancel(&self) {
        self.work.stop();
    }
}

impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingLogin")
    }
}

pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::LoginCancelled, "the sign-in was cancelled; the stored login stays")
}

/// Returns the error of a forked child, which does not have the sign-in of its parent.
fn inherited() -> Error {
    let message = "this sign-in belongs to the parent of this forked process; start another one";
    Error::new(ErrorKind::LoginCancelled, message)
}
