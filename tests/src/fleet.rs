//! Processes on many hosts that share a login in a database, and what befalls them, the database and
//! the network between. What was lost is decided by the issuer's records.

pub mod cuts;
mod failover;
pub mod kills;
mod outages;
mod relay;

use std::iter;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, PostgresOptions, PostgresStorage, Swap};
use codex_auth_sdk::{AuthManager, Secret};
use serde_json::{Value, json};
use tokio::runtime::Builder;

pub use self::failover::Witness;
pub use self::outages::Outage;
pub use self::relay::{Direction, Relay};
use crate::contender::{Contender, Language};
use crate::crash::signal::pause;
use crate::issuer::{Issuer, Realm};
use crate::postgres::Postgres;
use crate::torture::Trials;

/// How many hosts a crowd of managers is on.
pub const HOSTS: usize = 5;

/// How long a program may take to get through once nothing is wrong any more: the claim of a holder
/// that has vanished must end first, and a statement that was never answered.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a program may be told while something is wrong. Each can be tried again.
const TRANSIENT: [&str; 4] =
    ["store_unavailable", "store_read_only", "refresh_transient", "lock_timeout"];

/// What became of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No token was presented by two.
    Well,
    /// One was, by an exception to the guarantee, and the login is good.
    Forgiven,
    /// One was, by an exception, and the login is lost.
    Lost,
}

/// All that is tried briefly by the tests, at length. Nothing where there can be no database.
#[must_use]
pub fn at_length() -> Trials {
    const MINUTE: Duration = Duration::from_secs(60);
    let outages = Outage::ALL.into_iter().filter_map(|outage| outage.trial(MINUTE));
    let windows = [true, false];
    let standbys =
        Witness::ALL.into_iter().flat_map(move |witness| windows.map(|grace| witness.trial(grace)));
    let cuts = iter::once_with(|| cuts::trials(&cuts::all(), 12).unwrap_or_default()).flatten();
    let cuts_at_random = (0..4).filter_map(|seed| cuts::at_random(50, 5 * MINUTE, seed));
    let kills = iter::once_with(|| kills::at_random(2_000, 20, 1)).flatten();
    Box::new(outages.chain(standbys.flatten()).chain(cuts).chain(cuts_at_random).chain(kills))
}

/// A database with the login `a`, and its issuer.
#[derive(Debug)]
pub struct Fleet {
    /// The database.
    pub database: Postgres,
    issuer: Issuer,
    /// The issuer of the login.
    pub realm: Realm,
    config: Value,
}

impl Fleet {
    /// One whose access token has expired, of an issuer with this configuration; none where there can be
    /// no database.
    #[must_use]
    pub fn new(config: &Value) -> Option<Self> {
        Postgres::start().map(|database| Self::on(database, config))
    }

    /// A fleet on `database`, whose access token has expired.
    ///
    /// # Panics
    ///
    /// If there can be no issuer.
    #[must_use]
    pub fn on(database: Postgres, config: &Value) -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let realm = issuer.realm("");
        let fleet = Self { database, issuer, realm, config: config.clone() };
        fleet.begin();
        fleet
    }

    /// Has the issuer forget all that was, and signs in anew, with an access token that has expired.
    pub fn begin(&self) {
        self.realm.run("reset", &self.config);
        self.sign_in("a", 7200);
    }

    /// Stores a new login of `account` as the login `a`, with an access token of this age.
    ///
    /// # Panics
    ///
    /// If the database does not take it.
    pub fn sign_in(&self, account: &str, access_age_s: u64) {
        let login = json!({"name": account, "access_age_s": access_age_s});
        let login = self.realm.call("login", &login);
        let text = login["text"].as_str().expect("a record").to_owned();
        let store = self.store();
        let put = async {
            let record = AuthDotJson::parse(text.as_bytes()).expect("a record");
            loop {
                let version = store.load().await.expect("loads").version;
                if store.commit(&version, &record).await.expect("commits") == Swap::Done {
                    return;
                }
            }
        };
        blocking(put);
    }

    /// Starts a process on the login `a`, which has a manager once this returns. Its requests to the
    /// token endpoint may take a second, so its claim lasts 11 s.
    #[must_use]
    pub fn start(&self) -> Contender {
        self.start_at(&self.database.url(), &self.realm)
    }

    /// Starts such a process, which reaches the database at `url` and the issuer as `realm`.
    #[must_use]
    pub fn start_at(&self, url: &str, realm: &Realm) -> Contender {
        let options = json!({
            "store": url,
            "login": "a",
            "store_key": key(1),
            "request_timeout": 1,
            "winner_wait": 0.5,
        });
        let mut contender = Contender::start(Language::Rust, Path::new("/"), realm, &options);
        contender.wait_until_ready();
        contender
    }

    /// Managers of the login `a` on [`HOSTS`] hosts: each host has a connection of its own to the database
    /// at `url`, as a process has.
    ///
    /// # Panics
    ///
    /// If one cannot be made.
    pub async fn managers(&self, url: &str, clients: usize) -> Vec<AuthManager> {
        let mut managers = Vec::new();
        for client in 0..clients {
            let url = format!("{url}&application_name=host{}", client % HOSTS);
            let manager = AuthManager::builder()
                .storage(Arc::new(store_at(&url, "a", &key(1))))
                .token_url(format!("{}/oauth/token", self.realm.url()))
                .build()
                .await;
            managers.push(manager.expect("a manager"));
        }
        managers
    }

    /// The stored record of the login `a`; none if there is none.
    ///
    /// # Panics
    ///
    /// If the database cannot be read.
    #[must_use]
    pub fn stored(&self) -> Option<String> {
        let store = self.store();
        let record = blocking(async { store.load().await.expect("loads").record })?;
        Some(Secret::expose(&record.to_json_pretty()).to_owned())
    }

    fn store(&self) -> PostgresStorage {
        store_at(&self.database.url(), "a", &key(1))
    }

    /// Asserts that the stored login is good, and that no spent token was presented.
    ///
    /// # Panics
    ///
    /// If that is not so.
    pub fn assert_is_well(&self) {
        let live = self.realm.call("live", &json!({"text": self.stored()}));
        assert_eq!(live["refresh"], true, "the stored login is good: {live}");
        let stats = self.realm.stats();
        assert_eq!(stats["replays"], 0, "{stats}");
    }

    /// Returns what became of the login; `may_be_excepted`: what befell it may have had a token be
    /// presented by two.
    ///
    /// # Errors
    ///
    /// What was lost although nothing excuses that.
    pub fn judge(&self, may_be_excepted: bool) -> Result<Fate, String> {
        let live = self.realm.call("live", &json!({"text": self.stored()}));
        let stats = self.realm.stats();
        let counts = ["replays", "regrants", "refused"].map(|name| stats[name].as_u64());
        let is_twice = counts.iter().any(|count| count.is_some_and(|count| count > 0));
        let (is_good, has_grace) = (live["refresh"] == true, self.config["grace_ms"].is_u64());
        match (is_twice, is_good) {
            (false, true) => Ok(Fate::Well),
            (true, true) if may_be_excepted => Ok(Fate::Forgiven),
            (true, false) if may_be_excepted && !has_grace => Ok(Fate::Lost),
            _ => Err(format!("the stored login: {live}; the issuer: {stats}")),
        }
    }
}

/// Waits for `work`, also where the caller is in a runtime.
fn blocking<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let runtime = || Builder::new_current_thread().enable_all().build().expect("a runtime");
    thread::scope(|scope| scope.spawn(|| runtime().block_on(work)).join().expect("no panic"))
}

/// Lets a program make requests until one comes through.
///
/// # Errors
///
/// If none does in time, or it is told of a fault that does not pass.
pub fn get_through(contender: &mut Contender) -> Result<(), String> {
    let start = Instant::now();
    loop {
        contender.go();
        let answer = contender.answer();
        if answer["status"] == 200 {
            return Ok(());
        }
        if !is_transient(&answer) || start.elapsed() > PATIENCE {
            return Err(format!("after {:?}: {answer}", start.elapsed()));
        }
        pause(Duration::from_millis(100));
    }
}

/// Whether `answer` is of a request that can be tried again.
#[must_use]
pub fn is_transient(answer: &Value) -> bool {
    TRANSIENT.iter().any(|code| answer["error"] == *code)
}

/// Asserts that the request that `contender` has begun comes through, and that all is saved.
///
/// # Panics
///
/// If that is not so.
pub fn assert_gets_through(contender: &mut Contender) {
    let answer = contender.answer();
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(answer["pending_save"], false, "{answer}");
}

/// A key of a store; another one for each number.
#[must_use]
pub fn key(number: u8) -> String {
    STANDARD.encode([number; 32])
}

/// The store of `login` in the database at `url`, with these keys.
///
/// # Panics
///
/// If they make no sense.
#[must_use]
pub fn store_at(url: &str, login: &str, keys: &str) -> PostgresStorage {
    let mut options = PostgresOptions::default();
    options.login = Some(login.to_owned());
    options.store_key = Some(Secret::new(keys));
    PostgresStorage::new(&Secret::new(url), options, Environment::default()).expect("options")
}
