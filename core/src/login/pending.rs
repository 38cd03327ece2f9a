//! A sign-in that is under way until its user has agreed, or the program ends it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::background::{Background, Signal};
use crate::error::{Error, ErrorKind, Result};
use crate::process::NotInherited;
use crate::snapshot::CodexAuth;
use crate::state::{Event, State};

#[derive(Debug)]
pub(super) struct PendingLogin {
    work: Background,
    outcome: NotInherited<watch::Receiver<Option<Result<CodexAuth>>>>,
}

impl PendingLogin {
    /// Starts `work`, which heeds its signal as long as nothing is saved.
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

    /// What it came to. A caller that waits does not keep it going.
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

pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::LoginCancelled, "signing in was cancelled; nothing has changed")
}

/// This process does not go on with it.
fn inherited() -> Error {
    let message = "this sign-in is that of the process that was forked; begin one here";
    Error::new(ErrorKind::LoginCancelled, message)
}
