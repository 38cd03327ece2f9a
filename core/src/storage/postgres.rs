//! A login in a row of PostgreSQL, which any number of hosts share.

mod address;
mod claim;
mod failure;
mod row;
mod schema;
mod sealing;
mod server;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use self::address::{Address, check_login};
use self::claim::{ClaimLock, longest_request};
use self::row::{Claim, Content, LoginRow, ledger_of, unique_name};
use self::sealing::StoreKeys;
use self::server::Server;
use super::lease::Lease;
use super::{AuthStorage, Loaded, Readiness, RefreshLock, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::option_value::invalid;
use crate::secret::{Fingerprint, Secret};
use crate::variable;

/// The variable that has the keys where the option `store_key` is not set.
const KEY_VARIABLE: &str = "CODEX_AUTH_STORE_KEY";

/// How long a claim that another manager has is left alone.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

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
    watched: Arc<ArcSwapOption<WatchedClaim>>,
}

/// A claim of another manager, and since when it is as it is.
#[derive(Debug)]
struct WatchedClaim {
    /// Its holder, and the ledger that it has left.
    state: Fingerprint,
    since: Duration,
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
        let login = login(named, options.login)?;
        let keys = Arc::new(keys(options.store_key)?);
        let row = LoginRow::new(Server::shared(address, &environment), login);
        let claim_length = claim::length(options.request_timeout);
        let (ledger, watched) = (Arc::default(), Arc::default());
        Ok(Self { row, keys, claim_length, environment, ledger, watched })
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

    /// Reads the row. What is no login counts as none where it `is_replaced`.
    async fn read(&self, is_replaced: bool) -> Result<Loaded> {
        let Some(content) = self.row.load().await? else {
            self.ledger.store(Arc::default());
            return Ok(Loaded::nothing());
        };
        self.ledger.store(Arc::new(ledger_of(&content.ledger)));
        let (place, version) = (self.location(), Version::named(&content.version));
        let record = self.keys.open(self.row.login(), content.sealed, &place)?;
        match AuthDotJson::parse(&record) {
            Ok(record) => Ok(Loaded::new(Some(Arc::new(record)), version)),
            Err(_) if is_replaced => Ok(Loaded::new(None, version)),
            Err(invalid) => {
                let message = format!("{place} is no Codex login: {invalid}; sign in again");
                Err(Error::new(ErrorKind::StoreCorrupt, message))
            }
        }
    }

    async fn remove(&self, expected: &Version) -> Result<Swap> {
        let is_done = match expected.name() {
            Some(version) => self.row.delete(version).await?,
            None => self.row.load().await?.is_none(),
        };
        Ok(swap(is_done))
    }

    async fn try_claim(&self) -> Result<Option<Box<dyn RefreshLock>>> {
        let holder = unique_name()?;
        if let Some(lock) = self.claim(&holder, None).await? {
            return Ok(Some(lock));
        }
        if let Some(content) = self.row.load().await?
            && let Some(claim) = &content.claim
            && self.is_abandoned(claim, &content).await?
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
    /// no answer any more: this process has seen the row unchanged for as long as a request may take.
    async fn is_abandoned(&self, claim: &Claim, content: &Content) -> Result<bool> {
        if claim.is_too_long() {
            self.row.cut(&claim.holder).await?;
        }
        let state = [claim.holder.as_bytes(), &content.ledger].concat();
        let (state, now) = (Fingerprint::of(&state), self.environment.clock.boot_time());
        let watched = self.watched.load();
        let Some(watched) = watched.as_deref().filter(|watched| watched.state == state) else {
            self.watched.store(Some(Arc::new(WatchedClaim { state, since: now })));
            return Ok(false);
        };
        Ok(claim.has_ended()
            && now.saturating_sub(watched.since) >= longest_request(claim.length()))
    }
}

/// Returns the name of the login in the URL, or that of the option.
fn login(in_url: Option<String>, option: Option<String>) -> Result<String> {
    if let (Some(one), Some(other)) = (&in_url, &option)
        && one != other
    {
        let problem = "and the URL of the store names another one";
        return Err(invalid("login", format_args!("{other:?}"), problem, "name one of them"));
    }
    let login = option.or(in_url).ok_or_else(|| {
        let fix = "add login=NAME to the URL of the store, or set the option login";
        invalid("login", "not set", "and the store has many", fix)
    })?;
    check_login(&login).map(|()| login)
}

/// Returns the keys of the option, or those of the environment.
fn keys(option: Option<Secret>) -> Result<StoreKeys> {
    if let Some(keys) = option {
        return StoreKeys::parse("store_key", &keys);
    }
    let keys = variable::text(KEY_VARIABLE)?.map(Secret::new).ok_or_else(|| {
        let problem = "and records are stored encrypted";
        let fix = "set it, or $CODEX_AUTH_STORE_KEY, to a key made by `openssl rand -base64 32`";
        invalid("store_key", "not set", problem, fix)
    })?;
    StoreKeys::parse(&format!("${KEY_VARIABLE}"), &keys)
}

const fn swap(is_done: bool) -> Swap {
    if is_done { Swap::Done } else { Swap::Conflict }
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

    fn commit<'a>(
        &'a self,
        expected: &'a Version,
        record: &'a AuthDotJson,
    ) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async {
            let sealed = self.keys.seal(self.row.login(), &record.to_json())?;
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
}
