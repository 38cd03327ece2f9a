//! A login in a row of PostgreSQL, which any number of hosts share.

mod address;
mod announcements;
mod claim;
mod failure;
mod kept_logins;
#[cfg(feature = "cli")]
mod logins;
mod row;
mod schema;
mod sealing;
mod server;
mod statements;
mod tls;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use self::address::{Address, check_login, login_named};
use self::announcements::Changes;
use self::claim::{ClaimLock, long_over, longest_request};
#[cfg(feature = "cli")]
pub(crate) use self::logins::{PostgresLogins, Rekeyed, StoredLogin};
pub(super) use self::row::unique_name;
use self::row::{Claim, Content, LoginRow, ledger_of, swap};
use self::sealing::{StoreKeys, Subject};
use self::server::Server;
use super::lease::Lease;
use super::{AuthStorage, KeptLogins, Loaded, Readiness, RefreshLock, Stamp, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Environment};
use crate::error::{ErrorKind, Result};
use crate::ledger::Ledger;
use crate::secret::{Fingerprint, Secret};

/// How long a claim that another manager has is left alone.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// How often a row is read whose changes are announced.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// The options of a [`PostgresStorage`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// The name of the login, any text of at most 1,024 bytes. Default: the parameter `login` of the
    /// URL.
    pub login: Option<String>,
    /// The keys that encrypt and decrypt the record, each the Base64 of 32 bytes, separated by commas.
    /// The first one encrypts. The word `plaintext` in the place of a key has the record stored as it
    /// is, or read where it was. Default: `$CODEX_AUTH_STORE_KEY`.
    pub store_key: Option<Secret>,
    /// How long a request to the token endpoint may take: no manager of this storage may have a longer
    /// `request_timeout`. Default: 30 s.
    pub request_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { login: None, store_key: None, request_timeout: Duration::from_secs(30) }
    }
}

/// A store of a login in a row of PostgreSQL, for any number of hosts and languages.
///
/// The refresh lock is a claim in the row, which ends by the database's clock unless its holder renews
/// it. A manager that finds the claim of another one that has ended without being given back waits
/// until no request of that one can be under way any more.
///
/// All storages of a process for one database share one connection. Each statement is a transaction of
/// its own without a name, so that PgBouncer may be in between in its transaction mode. The record is
/// encrypted by AES-256-GCM before it leaves the process.
#[derive(Debug, Clone)]
pub struct PostgresStorage {
    row: LoginRow,
    keys: Arc<StoreKeys>,
    claim_length: Duration,
    environment: Environment,
    /// What the row had at the last read, or got by the last note.
    ledger: Arc<ArcSwap<Ledger>>,
    seen: Arc<ArcSwapOption<Seen>>,
    watched: Arc<ArcSwapOption<WatchedClaim>>,
}

/// What was announced of the row when it was read last.
#[derive(Debug)]
struct Seen {
    changes: Arc<Changes>,
    count: u64,
}

/// A claim of another manager.
#[derive(Debug)]
struct WatchedClaim {
    /// Its holder, and the ledger that it has left.
    state: Fingerprint,
    /// Since when it is in that state.
    since: Duration,
    /// Until when it lasts, unless it is renewed or given back.
    until: Duration,
    /// How many changes of the row had been announced when it was read.
    count: Option<u64>,
}

impl PostgresStorage {
    /// Creates a storage for the login that the options or the `url` name, without connecting:
    /// `postgres://user:password@host:port/database?login=NAME`. The modes `sslmode` and `sslrootcert`
    /// are those of libpq.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the URL, the name or a key makes no sense, or there is none.
    pub fn new(url: &Secret, options: PostgresOptions, environment: Environment) -> Result<Self> {
        let (address, named) = Address::parse(url)?;
        let login = login_named(named, options.login)?;
        let keys = Arc::new(StoreKeys::named(options.store_key.as_ref())?);
        let row = LoginRow::new(Server::shared(address, &environment), login);
        let claim_length = claim::length(options.request_timeout);
        let (ledger, seen, watched) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { row, keys, claim_length, environment, ledger, seen, watched })
    }

    /// Makes or updates the tables for logins in the database that `url` names, and returns their
    /// version. A storage does so itself where its role may.
    ///
    /// # Errors
    ///
    /// `invalid_option`, `store_unavailable`, `store_read_only`
    pub async fn migrate(url: &Secret, environment: Environment) -> Result<i32> {
        let (address, _) = Address::parse(url)?;
        Server::new(address, environment).migrate().await
    }

    /// Returns the storage of a row beside this one, in which a login waits that is being moved here. Its
    /// name says so, since the list of logins has it.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the name of the login leaves no room for that.
    #[cfg(feature = "cli")]
    pub(super) fn parking(&self) -> Result<Self> {
        let login = format!("{} (being moved here)", self.row.login());
        check_login(&login)?;
        let row = LoginRow::new(Arc::clone(self.row.server()), login);
        let (ledger, seen, watched) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { row, ledger, seen, watched, ..self.clone() })
    }

    /// Reads the row. What is no login counts as none where it `is_replaced`.
    async fn read(&self, is_replaced: bool) -> Result<Loaded> {
        let count = self.announced();
        if let (Some(seen), Some(count)) = (self.seen.load_full(), count) {
            self.seen.store(Some(Arc::new(Seen { changes: Arc::clone(&seen.changes), count })));
        }
        let Some(content) = self.row.load().await? else {
            self.seen.store(None);
            self.ledger.store(Arc::default());
            return Ok(Loaded::nothing());
        };
        self.note_row(&content.id, count);
        self.ledger.store(Arc::new(ledger_of(&content.ledger)));
        let (place, version) = (self.location(), Version::named(&content.version));
        match self.keys.open_record(self.row.login(), content.sealed, &place) {
            Err(error) if is_replaced && error.kind() == ErrorKind::StoreCorrupt => {
                Ok(Loaded::new(None, version))
            }
            record => Ok(Loaded::new(Some(Arc::new(record?)), version)),
        }
    }

    /// Notes that the row that is announced as `id` was read after `count` changes.
    fn note_row(&self, id: &str, count: Option<u64>) {
        let changes = self.row.server().announcements().of_row(id);
        let known = self.seen.load().as_deref().map(|seen| Arc::as_ptr(&seen.changes));
        let is_known = known == Some(Arc::as_ptr(&changes));
        // A change of a row that was not known may have been missed, and counts as not read yet.
        let count = count.filter(|_| is_known).unwrap_or_else(|| changes.count() - 1);
        self.seen.store(Some(Arc::new(Seen { changes, count })));
    }

    /// Returns how many changes of the row were announced, if it was read before.
    fn announced(&self) -> Option<u64> {
        self.seen.load().as_deref().map(|seen| seen.changes.count())
    }

    /// Returns whether each change of the row is heard of.
    fn hears(&self) -> bool {
        self.row.server().announcements().are_heard()
    }

    async fn remove(&self, expected: &Version) -> Result<Swap> {
        let is_done = match expected.name() {
            Some(version) => self.row.delete(version).await?,
            None => self.row.load().await?.is_none(),
        };
        Ok(swap(is_done))
    }

    async fn try_claim(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        if self.is_claimed_elsewhere() {
            return Ok(None);
        }
        let holder = unique_name()?;
        if let Some(lock) = self.claim(&holder, None).await? {
            return Ok(Some(lock));
        }
        let count = self.announced();
        if let Some(content) = self.row.load().await?
            && let Some(claim) = &content.claim
            && self.is_abandoned(claim, &content, count).await?
            && let Some(lock) = self.claim(&holder, Some((&claim.holder, &content.ledger))).await?
        {
            tracing::warn!(
                store = %self.location(),
                "a program that held the refresh lock has vanished; the lock is taken over"
            );
            return Ok(Some(lock));
        }
        self.environment.clock.sleep(LOCK_PAUSE).await;
        Ok(None)
    }

    /// Claims the row if it is free, or is still as a holder that has vanished has left it.
    async fn claim(
        &self,
        holder: &str,
        vanished: Option<(&str, &[u8])>,
    ) -> Result<Option<Box<dyn RefreshLock>>> {
        let start = self.environment.clock.boot_time();
        let claimed = self.row.claim(holder, self.claim_length, vanished).await?;
        let Some(ledger) = claimed else { return Ok(None) };
        self.ledger.store(Arc::new(ledger));
        let lease = Lease::begun(start, self.claim_length);
        let (row, ledger) = (self.row.clone(), Arc::clone(&self.ledger));
        let lock = ClaimLock::begun(row, holder.to_owned(), lease, ledger)?;
        Ok(Some(Box::new(lock)))
    }

    /// Returns whether the holder of `claim` has vanished, and a request that it may have sent can have
    /// no answer any more: this process has seen the row unchanged for as long as a request may take, or
    /// the claim has ended long ago, which ends the wait of processes that live for a moment.
    async fn is_abandoned(
        &self,
        claim: &Claim,
        content: &Content,
        count: Option<u64>,
    ) -> Result<bool> {
        if claim.is_too_long() {
            self.row.cut(&claim.holder).await?;
        }
        let state = [claim.holder.as_bytes(), &content.ledger].concat();
        let (state, now) = (Fingerprint::of(&state), self.environment.clock.boot_time());
        let watched = self.watched.load();
        let watched = watched.as_deref().filter(|watched| watched.state == state);
        let since = watched.map_or(now, |watched| watched.since);
        let until = now + claim.left();
        self.watched.store(Some(Arc::new(WatchedClaim { state, since, until, count })));
        let is_watched = now.saturating_sub(since) >= longest_request(claim.length());
        Ok(claim.has_ended() && (is_watched || claim.over() >= long_over(claim.length())))
    }

    /// Returns whether another manager is known to have the claim: each change is heard of, and none
    /// was announced since.
    fn is_claimed_elsewhere(&self) -> bool {
        let watched = self.watched.load();
        let Some(watched) = watched.as_deref().filter(|_| self.hears()) else { return false };
        watched.count.is_some()
            && watched.count == self.announced()
            && self.environment.clock.boot_time() < watched.until
    }
}

impl AuthStorage for PostgresStorage {
    fn location(&self) -> String {
        self.row.place()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.read(false))
    }

    fn load_to_replace(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(self.read(true))
    }

    fn stamp(&self) -> Option<Stamp> {
        let count = self.announced().filter(|_| self.hears())?;
        let looks = self.environment.clock.boot_time().as_secs() / LONGEST_LOOK.as_secs();
        Some(Stamp::of((count, looks)))
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.row.server().listen();
            match self.seen.load_full().filter(|_| self.hears()) {
                Some(seen) => seen.changes.after(seen.count).await,
                None => pending().await,
            }
        })
    }

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async {
            let record = record.to_json();
            let sealed =
                self.keys.seal(Subject::Login(self.row.login()), record.expose().as_bytes())?;
            self.row.replace(expected.name(), &sealed).await.map(swap)
        })
    }

    fn delete<'a>(&'a self, expected: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(self.remove(expected))
    }

    fn ready(&self, _size: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(async { self.row.prove().await.map(|()| Readiness::default()) })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(self.try_claim())
    }

    fn ledger(&self) -> Ledger {
        Ledger::clone(&self.ledger.load())
    }

    fn kept_logins(&self) -> Option<&dyn KeptLogins> {
        Some(self)
    }
}
