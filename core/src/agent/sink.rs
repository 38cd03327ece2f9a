//! A sink: a folder with an access-only copy of the login, for a Codex CLI that knows of no agent.
//!
//! The folder is that of a container, say, and what is in it may be planted: see [`Folder`].

mod folder;
mod opened_folder;
mod options;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use self::folder::{Folder, Put};
pub(crate) use self::options::SinkOptions;
use super::login::Login;
use crate::claims::AccessTokenTimes;
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

/// In seconds: the second half of such a life, in which a token is renewed, is shorter than the last 5
/// minutes, in which a Codex CLI would do it.
const SHORT_LIFE: i64 = 10 * 60;

/// How long the folder may take for one call: a file system that hangs would never answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder that gets a copy of each new access token.
#[derive(Debug)]
pub(super) struct Sink {
    folder: Arc<Folder>,
    /// A folder that does not answer holds up this thread alone.
    lane: Lane,
    copy: Option<Copy>,
    /// What was warned of last.
    problem: Option<String>,
    has_warned_of_life: bool,
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
    /// `invalid_option` if there is no such folder, or if its user could not read a copy;
    /// `store_unavailable` if it does not answer.
    pub(super) async fn open(options: SinkOptions) -> Result<Self> {
        let (lane, path) = (Lane::new(), options.folder.clone());
        let opened = within_reason(&lane, move || Folder::open(&options)).await;
        let folder = opened.map_err(|error| failed(&path, &error)).flatten()?;
        let folder = Arc::new(folder);
        Ok(Self { folder, lane, copy: None, problem: None, has_warned_of_life: false })
    }

    /// Keeps the copy equal to `login`, until a program signs in in the folder.
    pub(super) async fn follow(mut self, login: Arc<Login>) {
        loop {
            let (auth, generation) = login.now();
            match auth {
                Some(auth) => {
                    if !self.renew(auth).await {
                        return;
                    }
                }
                None => self.keep_last(),
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
            Ok(Put::Later) => self.warn(
                "auth.json is empty or cut, and a program may be writing a login; it is replaced if it \
                 stays as it is"
                    .to_owned(),
            ),
            Ok(Put::Folder) => self.warn("a folder is in the place of auth.json".to_owned()),
            Err(error) => self.warn(error.to_string()),
        }
        true
    }

    /// Says once that the copy of a login that is gone stays.
    fn keep_last(&mut self) {
        if self.copy.take().is_some() {
            tracing::warn!(
                folder = %self.folder.path().display(),
                "the login is gone, and its last copy stays in the folder of this sink: the access \
                 token works until it ends; remove auth.json there to take it away"
            );
        }
    }

    /// Returns the copy of `auth`, which is made once.
    fn copy_of(&mut self, auth: CodexAuth) -> Result<Arc<Secret>> {
        if let Some(copy) = self.copy.as_ref().filter(|copy| copy.auth == auth) {
            return Ok(Arc::clone(&copy.json));
        }
        let json = Arc::new(AccessCopy::of(&auth)?.to_json());
        self.warn_of_short_life(&auth);
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
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let made = within_reason(&self.lane, call).await.flatten();
        made.map_err(|error| failed(self.folder.path(), &error))
    }

    /// Warns once of tokens that are renewed, by default, after a Codex CLI would do so itself.
    fn warn_of_short_life(&mut self, auth: &CodexAuth) {
        let times = auth.access_token().map(|token| AccessTokenTimes::parse(token.expose()));
        let life = times.and_then(|times| times.expires_at?.checked_sub(times.issued_at?));
        if life.is_some_and(|life| life < SHORT_LIFE) && !self.has_warned_of_life {
            self.has_warned_of_life = true;
            tracing::warn!(
                folder = %self.folder.path().display(),
                "the access tokens of this login live for less than 10 minutes: in the last 5 a Codex \
                 CLI tries to refresh its copy, and fails; give --refresh-window more than 5m"
            );
        }
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

/// What `call` comes to, unless that takes too long.
async fn within_reason<T: Send + 'static>(
    lane: &Lane,
    call: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    timeout(PATIENCE, lane.run(call)).await.unwrap_or_else(|_| {
        let problem = format!("it has not answered for {PATIENCE:?}; see to its file system");
        Err(io::Error::new(io::ErrorKind::TimedOut, problem))
    })
}

fn failed(folder: &Path, error: &io::Error) -> Error {
    let message = format!("the copy in {} cannot be renewed: {error}", folder.display());
    Error::new(ErrorKind::StoreUnavailable, message)
}
