//! A sign-in that is under way until its user has agreed, or somebody ends it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::manager::background::{Background, Signal};
use crate::manager::events::Event;
use crate::manager::shared::Shared;
use crate::process::NotInherited;
use crate::snapshot::CodexAuth;

#[derive(Debug)]
pub(super) struct PendingLogin {
    work: Background,
    outcome: NotInherited<watch::Receiver<Option<Result<CodexAuth>>>>,
}

impl PendingLogin {
    /// Starts `work`, which heeds its signal as long as nothing is saved.
    pub(super) fn start<F>(shared: &Arc<Shared>, work: impl FnOnce(Arc<Signal>) -> F) -> Self
    where
        F: Future<Output = Result<CodexAuth>> + Send + 'static,
    {
        let (sender, outcome) = watch::channel(None);
        let announcer = Arc::clone(shared);
        let work = Background::start(shared, |signal| {
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

    /// What it came to. Who waits does not keep it going.
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

/// Nobody goes on with it here.
fn inherited() -> Error {
    let message = "this sign-in is that of the process that was forked; begin one here";
    Error::new(ErrorKind::LoginCancelled, message)
}
