//! The connection of a process to one database. All managers share it, however many logins they have.
//!
//! Each statement is a transaction of its own and leaves nothing in the session, so that PgBouncer may
//! send the next one to another session of the server.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Row};

use super::address::Address;
use super::announcements::{Announcements, CHANNEL};
use super::failure::Failure;
use super::schema;
use crate::environment::{BoxFuture, Environment};
use crate::error::Result;
use crate::process::{PerProcess, Shared};
use crate::secret::Fingerprint;

/// How long one answer may take. What takes longer is given up, with the connection.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long an announcement may take, which comes at once where it comes through.
const PROBE: Duration = Duration::from_secs(1);

/// A value of a statement, and its type: the server is not asked for types.
pub(super) type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// A statement.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) text: &'static str,
    pub(super) effect: Effect,
}

/// What a statement does to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    /// It may be sent again where the answer was lost: twice is once.
    Writes,
    /// Only its caller can tell whether it had an effect, where the answer was lost.
    WritesOnce,
}

/// A database that managers of this process use.
#[derive(Debug)]
pub(super) struct Server {
    address: Address,
    environment: Environment,
    link: PerProcess<Mutex<Link>>,
    announcements: PerProcess<Announcements>,
}

/// The exclusive use of the connection, once the statements before are made.
pub(super) type Turn = BoxFuture<'static, OwnedMutexGuard<Link>>;

/// The connection, with which one statement is made at a time.
#[derive(Debug, Default)]
pub(super) struct Link {
    client: Option<Client>,
    /// Whether the tables were found to be those of this version.
    has_tables: bool,
}

impl Server {
    /// Returns the server at `address`, which is shared by all that use it.
    pub(super) fn shared(address: Address, environment: &Environment) -> Arc<Self> {
        static SHARED: Shared<Fingerprint, Server> = Shared::new();
        let fingerprint = address.fingerprint;
        SHARED.get_or(&fingerprint, Self::new(address, environment.clone()))
    }

    pub(super) fn new(address: Address, environment: Environment) -> Self {
        Self { address, environment, link: PerProcess::new(), announcements: PerProcess::new() }
    }

    /// Returns which database this is, without user and password.
    pub(super) fn place(&self) -> &str {
        &self.address.place
    }

    /// Returns which login of the database this is, for error messages.
    pub(super) fn place_of(&self, login: &str) -> String {
        format!("the login {login:?} in {}", self.place())
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the rows that `statement` with `values` returns.
    ///
    /// # Errors
    ///
    /// `store_unavailable`, `store_read_only`
    pub(super) async fn ask(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>> {
        self.ask_in(self.turn(), statement, values).await
    }

    /// Returns the rows that `statement` with `values` returns, when it is the `turn` of the caller.
    ///
    /// # Errors
    ///
    /// `store_unavailable`, `store_read_only`
    pub(super) async fn ask_in(
        &self,
        turn: Turn,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>> {
        let asked = self.try_ask(turn, statement, values).await;
        asked.map_err(|failure| failure.into_error(self.place()))
    }

    /// Queues for the connection: a statement in this turn is made before those of later turns.
    pub(super) fn turn(&self) -> Turn {
        let mut turn: Turn = Box::pin(self.link.get_or_default().lock_owned());
        // The first poll is what queues.
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(link) => Box::pin(async { link }),
            Poll::Pending => turn,
        }
    }

    /// Makes or updates the tables, and returns their version.
    ///
    /// # Errors
    ///
    /// `store_unavailable`, `store_read_only`
    pub(super) async fn migrate(&self) -> Result<i32> {
        let migrated = async {
            let client = self.connect(None).await?;
            schema::migrate(&client).await
        };
        migrated.await.map_err(|failure| failure.into_error(self.place()))
    }

    async fn try_ask(
        &self,
        turn: Turn,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let mut link = self.environment.within(PATIENCE, turn).await.ok_or(Failure::Silent)?;
        let mut may_repeat = statement.effect != Effect::WritesOnce;
        let mut is_repeated = false;
        loop {
            let client = self.client(&mut link).await?;
            let asked = client.query_typed(statement.text, values);
            let Some(answer) = self.environment.within(PATIENCE, asked).await else {
                self.cancel(&client);
                return Err(Failure::Silent);
            };
            let had_no_effect = answer.as_ref().is_err_and(had_no_effect);
            if had_no_effect && !mem::replace(&mut is_repeated, true) {
                continue;
            }
            if !answer.as_ref().is_err_and(is_lost) {
                link.client = Some(client);
            } else if mem::take(&mut may_repeat) {
                continue;
            }
            let is_write = statement.effect != Effect::Reads;
            return answer.map_err(|error| Failure::Refused { error, is_write });
        }
    }

    /// Takes the connection out of `link`, or makes one. A caller that is cancelled takes it along:
    /// nothing may go out later.
    async fn client(&self, link: &mut Link) -> Result<Client, Failure> {
        if let Some(client) = link.client.take().filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        let client = self.connect(Some(self.announcements())).await?;
        if !link.has_tables {
            let checked = self.environment.within(PATIENCE, schema::check(&client)).await;
            checked.unwrap_or(Err(Failure::Silent))?;
            link.has_tables = true;
        }
        Ok(client)
    }

    /// Connects, on this crate's own thread, whose runtime drives the connection and hands what it
    /// hears to `announcements`.
    async fn connect(&self, announcements: Option<Arc<Announcements>>) -> Result<Client, Failure> {
        let tls = self.address.trust.connector().map_err(Failure::NoTls)?;
        let (config, environment) = (self.address.config.clone(), self.environment.clone());
        let (sender, connected) = oneshot::channel();
        let task = async move {
            let connection = match environment.within(PATIENCE, config.connect(tls)).await {
                Some(Ok((client, connection))) => {
                    drop(sender.send(Ok(client)));
                    connection
                }
                Some(Err(error)) => return drop(sender.send(Err(Failure::Unreachable(error)))),
                None => return drop(sender.send(Err(Failure::Silent))),
            };
            drive(connection, announcements.as_deref()).await;
            if let Some(announcements) = announcements {
                announcements.end();
            }
        };
        self.environment.spawner.spawn_read(Box::pin(task)).map_err(Failure::NoThread)?;
        connected.await.unwrap_or(Err(Failure::Silent))
    }

    /// Has this process hear what the database announces, unless it does, or has found lately that
    /// nothing comes through.
    pub(super) fn listen(self: &Arc<Self>) {
        if !self.announcements().may_try(self.environment.clock.boot_time()) {
            return;
        }
        let server = Arc::clone(self);
        let task = async move {
            match server.try_to_listen().await {
                Ok(true) => {}
                Ok(false) => tracing::debug!(
                    store = server.place(),
                    "nothing that the database announces comes through, so it is asked instead"
                ),
                Err(failure) => {
                    let error = failure.into_error(server.place());
                    tracing::debug!(%error, "what the database announces is not heard");
                }
            }
        };
        self.environment.spawner.spawn_read(Box::pin(task)).unwrap_or_default();
    }

    /// Returns what this process hears of the database.
    pub(super) fn announcements(&self) -> Arc<Announcements> {
        self.announcements.get_or_default()
    }

    /// Listens, and returns whether an announcement came through. PgBouncer accepts a `LISTEN`, and may
    /// hand on what comes in the middle of a statement: so it is another connection that announces,
    /// while this one is at rest.
    async fn try_to_listen(&self) -> Result<bool, Failure> {
        let mut link =
            self.environment.within(PATIENCE, self.turn()).await.ok_or(Failure::Silent)?;
        let client = self.client(&mut link).await?;
        let refused = |error| Failure::Refused { error, is_write: false };
        let listening = client.batch_execute("LISTEN codex_auth_sdk");
        let listening = self.environment.within(PATIENCE, listening).await;
        listening.ok_or(Failure::Silent)?.map_err(refused)?;
        let announcements = self.announcements();
        let probe = format!("probe {}", self.environment.random.unit());
        let heard = announcements.expect(&probe);
        let other = self.connect(None).await?;
        let values = [(&CHANNEL as _, Type::TEXT), (&probe as _, Type::TEXT)];
        let announcing = other.query_typed("SELECT pg_notify($1, $2)::text", &values);
        let announced = self.environment.within(PATIENCE, announcing).await;
        announced.ok_or(Failure::Silent)?.map_err(refused)?;
        let is_heard = self.environment.within(PROBE, heard.notified()).await.is_some();
        if is_heard {
            announcements.begin();
        } else {
            // Best effort: a session of PgBouncer's may be another program's next.
            let ending = client.batch_execute("UNLISTEN codex_auth_sdk");
            drop(self.environment.within(PATIENCE, ending).await);
        }
        link.client = Some(client);
        Ok(is_heard)
    }

    /// Has the server give up what `client` asked for: it may wait for a lock, and act once it has it.
    fn cancel(&self, client: &Client) {
        let (token, tls) = (client.cancel_token(), self.address.trust.connector());
        let environment = self.environment.clone();
        let task = async move {
            if let Ok(tls) = tls {
                drop(environment.within(PATIENCE, token.cancel_query(tls)).await);
            }
        };
        self.environment.spawner.spawn_read(Box::pin(task)).unwrap_or_default();
    }
}

/// Returns whether the connection has ended, by an `error` that says so or without a word.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|code| code.code().starts_with("57P"))
}

/// Returns whether a statement that failed with `error` is to be made again, on a new connection: the
/// server is no primary any more, or the statement met another one.
fn had_no_effect(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(code)
    })
}

/// Drives a connection to its end, and hands on what it hears.
async fn drive<S, T>(mut connection: Connection<S, T>, announcements: Option<&Announcements>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match (message, announcements) {
            (Ok(AsyncMessage::Notification(heard)), Some(announcements)) => {
                announcements.announced(heard.payload());
            }
            (Ok(_), _) => {}
            (Err(error), _) => {
                return tracing::debug!(%error, "the connection to the database has ended");
            }
        }
    }
}
