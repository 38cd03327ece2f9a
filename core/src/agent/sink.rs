//! A sink: a folder with an access-only copy of the login, for a Codex CLI that knows of no agent.
//!
//! The folder is that of a container, say, and what is in it may be planted: see [`Folder`].

mod folder;
mod options;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::folder::{Folder, Put};
pub(crate) use self::options::SinkOptions;
use super::login::Login;
use crate::error::{Error, ErrorKind, Result};
use crate::process::Lane;
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::storage::access_copy::AccessCopy;

/// How often the copy is looked at: a program in the container may have removed it.
const LOOK: Duration = Duration::from_secs(1);

/// How long the locks of a save are waited for. The Codex CLI holds them for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A folder that gets a copy of each new access token.
#[derive(Debug)]
pub(super) struct Sink {
    folder: Arc<Folder>,
    /// A folder that does not answer holds up this thread alone.
    lane: Lane,
    copy: Option<Copy>,
    /// What was warned of last.
    problem: Option<String>,
}

/// The copy that the folder is to hold.
#[derive(Debug)]
struct Copy {
    auth: CodexAuth,
    json: Arc<Secret>,
}

impl Sink {
    /// Opens the folder. Nothing is written to it yet, but for a proof that its user could read a copy.
    ///
    /// # Errors
    ///
    /// `invalid_option` if there is no such folder, or if its user could not read a copy.
    pub(super) fn open(options: &SinkOptions) -> Result<Self> {
        let folder = Arc::new(Folder::open(options)?);
        Ok(Self { folder, lane: Lane::new(), copy: None, problem: None })
    }

    /// Keeps the copy equal to `login`, until a program signs in in the folder.
    pub(super) async fn follow(mut self, login: Arc<Login>) {
        loop {
            let (auth, generation) = login.now();
            if let Some(auth) = auth
                && !self.renew(auth).await
            {
                return;
            }
            login.changes_within(LOOK, &generation).await;
        }
    }

    /// Writes a copy of `auth`, if the folder has none. Returns whether the sink goes on.
    async fn renew(&mut self, auth: CodexAuth) -> bool {
        let put = match self.copy_of(auth) {
            Ok(json) => self.put(json).await,
            Err(error) => Err(error),
        };
        match put {
            Ok(Put::Login) => {
                tracing::warn!(
                    folder = %self.folder.path().display(),
                    "a program has signed in in the folder of this sink, whose login stays: the sink \
                     stops; remove auth.json there, and start the agent again, for a copy"
                );
                return false;
            }
            Ok(Put::Done) => self.problem = None,
            Ok(Put::Later) => {}
            Ok(Put::Folder) => self.warn("a folder is in the place of auth.json".to_owned()),
            Err(error) => self.warn(error.to_string()),
        }
        true
    }

    /// Returns the copy of `auth`, which is made once.
    fn copy_of(&mut self, auth: CodexAuth) -> Result<Arc<Secret>> {
        if let Some(copy) = self.copy.as_ref().filter(|copy| copy.auth == auth) {
            return Ok(Arc::clone(&copy.json));
        }
        let json = Arc::new(AccessCopy::of(&auth)?.to_json());
        self.copy = Some(Copy { auth, json: Arc::clone(&json) });
        Ok(json)
    }

    async fn put(&self, json: Arc<Secret>) -> Result<Put> {
        let (folder, wanted) = (Arc::clone(&self.folder), Arc::clone(&json));
        let is_there = self.call(move || folder.holds(wanted.expose().as_bytes())).await?;
        if is_there {
            return Ok(Put::Done);
        }
        let deadline = Instant::now() + LOCK_PATIENCE;
        let locks = loop {
            let folder = Arc::clone(&self.folder);
            let locks = self.call(move || Ok(folder.try_lock())).await?;
            if locks.is_some() || Instant::now() >= deadline {
                break locks;
            }
            sleep(LOCK_PAUSE).await;
        };
        // A program that holds them for so long saves nothing, and its user needs the next token.
        let folder = Arc::clone(&self.folder);
        self.call(move || {
            let put = folder.put(json.expose().as_bytes());
            drop(locks);
            put
        })
        .await
    }

    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let made = self.lane.run(call).await.and_then(|made| made);
        made.map_err(|error| {
            let folder = self.folder.path().display();
            let message = format!("the copy in {folder} cannot be renewed: {error}");
            Error::new(ErrorKind::StoreUnavailable, message)
        })
    }

    /// Warns of a problem once.
    fn warn(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            let folder = self.folder.path().display();
            tracing::warn!(%folder, "a sink has no new copy for now: {problem}; see to that");
            self.problem = Some(problem);
        }
    }
}
