//! The refresh lock: a claim that ends by the clock of the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::{BoxFuture, Clock, Environment, SystemClock};
use codex_auth_sdk::storage::{AuthStorage, Ledger, PostgresOptions, PostgresStorage};
use codex_auth_tests::postgres::Postgres;

use crate::scene::{key, put, store};

/// The clock of a machine that may sleep.
#[derive(Default)]
struct Sleeper {
    clock: SystemClock,
    slept_s: AtomicU64,
}

impl Sleeper {
    fn sleep_for(&self, seconds: u64) {
        self.slept_s.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Sleeper {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn boot_time(&self) -> Duration {
        self.clock.boot_time() + Duration::from_secs(self.slept_s.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}

/// The store of the login `a` on a machine with this clock, whose requests may take 30 s.
fn store_on(database: &Postgres, clock: &Arc<Sleeper>) -> PostgresStorage {
    let system = Environment::default();
    let environment = Environment::new(Arc::clone(clock) as _, system.spawner, system.random);
    let mut options = PostgresOptions::default();
    options.login = Some("a".to_owned());
    options.store_key = Some(Secret::new(key(1)));
    // A server of its own, since the clock is the server's.
    let url = format!("{}&application_name=sleeper", database.url());
    PostgresStorage::new(&Secret::new(url), options, environment).expect("options")
}

/// Has the claim end by the clock of the database.
const END: &str = "UPDATE codex_auth_sdk_logins SET claim_end = clock_timestamp()";

/// Has the clock of the database be set back.
const SET_BACK: &str = "UPDATE codex_auth_sdk_logins SET claim_end = claim_end + interval '1 year'";

#[tokio::test]
async fn a_holder_that_has_vanished_is_watched_for_as_long_as_its_request_may_take() {
    let Some(database) = Postgres::start() else { return };
    put(&store(&database, "a"), "k").await;
    let clock = Arc::new(Sleeper::default());
    let (vanishing, other) = (store(&database, "a"), store_on(&database, &clock));
    let lock = vanishing.try_lock().await.expect("a lock").expect("free");
    let is_free = async || other.try_lock().await.expect("a lock").is_some();
    assert!(!is_free().await);
    clock.sleep_for(60);
    assert!(!is_free().await, "its claim has not ended");
    // It notes that it is about to send a request, and is cut off.
    lock.set_ledger(&Ledger::default()).await.expect("noted");
    database.run(END);
    assert!(!is_free().await, "the row has changed since");
    clock.sleep_for(34);
    assert!(!is_free().await, "its request may still be answered");
    clock.sleep_for(2);
    // A slow machine may have renewed it.
    database.run(END);
    assert!(is_free().await);
    assert!(is_free().await, "what was taken over is given back as usual");
    assert!(lock.set_ledger(&Ledger::default()).await.is_err(), "the claim is another's");
    assert_eq!(lock.held_for(), Some(Duration::ZERO), "so nothing is sent");
    lock.check().expect_err("it is lost");
}

#[tokio::test]
async fn a_claim_that_has_ended_long_ago_holds_up_no_process_that_lives_for_a_moment() {
    for (end, is_over) in [
        ("clock_timestamp() - interval '9 min'", false),
        ("clock_timestamp() - interval '11 min'", true),
        ("NULL", false),
    ] {
        let Some(database) = Postgres::start() else { return };
        put(&store(&database, "a"), "k").await;
        let clock = Arc::new(Sleeper::default());
        let (vanishing, other) = (store(&database, "a"), store_on(&database, &clock));
        let _lock = vanishing.try_lock().await.expect("a lock").expect("free");
        database.run(&format!("UPDATE codex_auth_sdk_logins SET claim_end = {end}"));
        assert_eq!(other.try_lock().await.expect("a lock").is_some(), is_over, "{end}");
        clock.sleep_for(36);
        assert!(other.try_lock().await.expect("a lock").is_some(), "{end}: it was watched");
    }
}

#[tokio::test]
async fn a_claim_ends_though_the_clock_of_the_database_is_set_back() {
    let Some(database) = Postgres::start() else { return };
    put(&store(&database, "a"), "k").await;
    let clock = Arc::new(Sleeper::default());
    let (vanishing, other) = (store(&database, "a"), store_on(&database, &clock));
    let _lock = vanishing.try_lock().await.expect("a lock").expect("free");
    database.run(SET_BACK);
    assert!(other.try_lock().await.expect("a lock").is_none());
    let left = "SELECT claim_end <= clock_timestamp() + interval '40 s' FROM codex_auth_sdk_logins";
    assert_eq!(database.ask(left), [["t"]]);
}

#[tokio::test]
async fn a_claim_is_renewed_and_no_request_is_sent_that_could_outlast_it() {
    let Some(database) = Postgres::start() else { return };
    put(&store(&database, "a"), "k").await;
    let clock = Arc::new(Sleeper::default());
    let store = store_on(&database, &clock);
    let lock = store.try_lock().await.expect("a lock").expect("free");
    let lasts = || lock.held_for().expect("it is a lease");
    assert!(lasts() > Duration::from_secs(30), "a request may take 30 s");
    clock.sleep_for(20);
    assert!(lasts() < Duration::from_secs(30), "the machine has slept");
    lock.set_ledger(&Ledger::default()).await.expect("noted");
    assert!(lasts() > Duration::from_secs(30), "a note renews it");
    database.run(END);
    lock.set_ledger(&Ledger::default()).await.expect("noted");
    assert_eq!(database.ask("SELECT claim_end > now() FROM codex_auth_sdk_logins"), [["t"]]);
    database.run("ALTER TABLE codex_auth_sdk_logins RENAME ledger TO elsewhere");
    lock.set_ledger(&Ledger::default()).await.expect_err("not noted");
    lock.check().expect("it is still held");
    assert_eq!(lock.held_for(), Some(Duration::ZERO), "but nothing is sent that is not noted");
    database.run("ALTER TABLE codex_auth_sdk_logins RENAME elsewhere TO ledger");
    lock.set_ledger(&Ledger::default()).await.expect("noted");
    assert!(lasts() > Duration::from_secs(30), "it was noted");
    database.run("DELETE FROM codex_auth_sdk_logins");
    assert_eq!(
        lock.set_ledger(&Ledger::default()).await.expect_err("gone").code(),
        "store_unavailable"
    );
    lock.check().expect_err("there is no row");
}
