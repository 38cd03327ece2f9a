//! What all clones of a manager share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use super::current::CurrentCell;
use super::events::Event;
use super::memory::Memory;
use super::options::Options;
use super::process::Process;
use super::stats::Counters;
use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, Result, transient};
use crate::ledger::{Knowledge, Ledger};
use crate::login::AuthorizationServer;
use crate::process::PerProcess;
use crate::secret::Fingerprint;
use crate::snapshot::CodexAuth;
use crate::storage::{AuthStorage, Loaded, RefreshLock, StoreHolder};
use crate::token_endpoint::{RefusalReason, TokenEndpoint};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) storage: Arc<dyn AuthStorage>,
    pub(super) endpoint: Arc<dyn TokenEndpoint>,
    pub(super) server: AuthorizationServer,
    pub(super) environment: Environment,
    pub(super) current: CurrentCell,
    pub(super) memory: Memory,
    pub(super) counters: Counters,
    /// Which store held the login when it was last read, if the store is one that chooses.
    holder: ArcSwapOption<StoreHolder>,
    /// Whether the stored ledger could not be written the last time.
    is_ledger_unwritten: AtomicBool,
    process: PerProcess<Process>,
}

impl Shared {
    pub(super) fn new(
        options: Options,
        storage: Arc<dyn AuthStorage>,
        endpoint: Arc<dyn TokenEndpoint>,
        server: AuthorizationServer,
        environment: Environment,
    ) -> Self {
        Self {
            options,
            storage,
            endpoint,
            server,
            environment,
            current: CurrentCell::default(),
            memory: Memory::default(),
            counters: Counters::default(),
            holder: ArcSwapOption::empty(),
            is_ledger_unwritten: AtomicBool::new(false),
            process: PerProcess::new(),
        }
    }

    /// What belongs to this process: a forked child has none of its parent's flights or locks.
    pub(super) fn process(&self) -> Arc<Process> {
        self.process.get_or_default()
    }

    /// The login in `record`, as received now.
    pub(super) fn login(&self, record: &Arc<AuthDotJson>) -> Option<CodexAuth> {
        let now = self.environment.clock.now();
        CodexAuth::received(Arc::clone(record), now, &self.options.originator)
    }

    /// What is known of the refresh token of `auth`: in memory, and in the `stored` ledger.
    pub(super) fn about(&self, auth: &CodexAuth, stored: &Ledger) -> Knowledge {
        let Some(tokens) = auth.managed_tokens() else { return Knowledge::Nothing };
        if tokens.refresh_token.is_empty() {
            return Knowledge::Refused(RefusalReason::EmptyRefreshToken);
        }
        let (token, now) = (tokens.refresh_token.fingerprint(), self.environment.clock.now());
        self.memory.ledger().about(token, now).or(stored.about(token, now))
    }

    /// Whether the refresh token `token` came from `ancestor`, or is the same.
    pub(super) fn descends(&self, token: Fingerprint, ancestor: Fingerprint) -> bool {
        self.memory.ledger().descends(token, ancestor)
            || self.storage.ledger().descends(token, ancestor)
    }

    /// Notes something in memory, and for the next holders of `lock`.
    pub(super) fn note(&self, lock: &dyn RefreshLock, change: impl Fn(&mut Ledger)) {
        self.memory.note(&change);
        self.note_for_others(lock, change);
    }

    /// Notes something for the next holders of `lock`. They can do without.
    pub(super) fn note_for_others(&self, lock: &dyn RefreshLock, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = lock.ledger();
        change(&mut ledger);
        let written = lock.set_ledger(&ledger);
        let was_unwritten = self.is_ledger_unwritten.swap(written.is_err(), Ordering::SeqCst);
        match written {
            Err(error) if !was_unwritten => tracing::warn!(
                %error,
                "other processes are not told what becomes of the refresh token; make the place \
                 writable"
            ),
            _ => {}
        }
    }

    /// Reads the store: at once where that is possible, else on our own thread. A reader whose store
    /// does not answer keeps no process from ending.
    pub(super) async fn load(&self) -> Result<Loaded> {
        if let Some(loaded) = self.storage.load_now() {
            return loaded;
        }
        let storage = Arc::clone(&self.storage);
        let (load, loaded) = answered(async move { storage.load().await });
        if self.storage.is_read_to_the_end() {
            self.spawn(load)?;
        } else {
            self.environment.spawner.spawn_read(load).map_err(|error| no_thread(&error))?;
        }
        let loaded = loaded.await.map_err(|_| interrupted())?;
        self.follow_holder();
        loaded
    }

    /// Tells subscribers where another store holds the login than at the last look.
    fn follow_holder(&self) {
        let Some(holder) = self.storage.holder() else { return };
        let known = self.holder.swap(Some(Arc::new(holder.clone())));
        if known.is_some_and(|known| *known != holder) {
            self.announce(Event::StoreChanged(holder));
        }
    }

    /// Runs `task` on our own thread and waits for its answer.
    pub(super) async fn on_worker<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let (task, answer) = answered(task);
        self.spawn(task)?;
        answer.await.map_err(|_| interrupted())
    }

    /// The same for a `task` that changes nothing: the end of the process does not wait for it.
    pub(super) async fn on_worker_unawaited<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let (task, answer) = answered(task);
        self.environment.spawner.spawn_read(task).map_err(|error| no_thread(&error))?;
        answer.await.map_err(|_| interrupted())
    }

    pub(super) fn spawn(&self, task: BoxFuture<'static, ()>) -> Result<()> {
        self.environment.spawner.spawn(task).map_err(|error| no_thread(&error))
    }
}

/// `task` to be started somewhere, and its answer.
fn answered<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> (BoxFuture<'static, ()>, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let task = async move {
        // Nobody listens to an answer that came too late.
        drop(sender.send(task.await));
    };
    (Box::pin(task), receiver)
}

fn no_thread(error: &io::Error) -> Error {
    transient(format!("cannot start a thread: {error}"))
}

pub(super) fn interrupted() -> Error {
    transient("the refresh was interrupted; try again")
}
