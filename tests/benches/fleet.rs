//! Prints what a login in a database costs it while many clients wait for one refresh, and how long
//! after the commit they have the new token, against the control: one transaction of each client with
//! `SELECT ... FOR UPDATE` around the same request. Run with
//! `cargo bench -p codex-auth-tests --features codex-auth-sdk/test-util --bench fleet`.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, missing_docs, reason = "a program that prints")]

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use codex_auth_sdk::AuthManager;
use codex_auth_tests::fleet::{Fleet, HOSTS};
use codex_auth_tests::issuer::Realm;
use codex_auth_tests::postgres::Bouncer;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use tokio_postgres::{Config, NoTls};

const CLIENTS: usize = 200;

/// The most sessions of the control: a server allows a hundred, unless it is told otherwise.
const SESSIONS: usize = 80;

/// How long the refresh takes that all wait for.
const WAIT: Duration = Duration::from_secs(5);

/// In which all have begun to wait.
const SETTLING: Duration = Duration::from_secs(2);

fn main() {
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("{CLIENTS} clients on {HOSTS} hosts wait for one refresh of {WAIT:?}");
    println!("{:<24} {:>12} {:>14} {:>14}", "", "queries/s", "median, ms", "last, ms");
    runtime.block_on(async {
        let Some(fleet) = fleet() else { return };
        let managers = fleet.managers(&fleet.database.url(), CLIENTS).await;
        let ask = |manager: AuthManager| async move {
            manager.fresh_auth().await.expect("fresh").expect("signed in");
        };
        measure("direct", &fleet, managers, ask).await;
        let Some(fleet) = self::fleet() else { return };
        let Some(bouncer) = Bouncer::start(&fleet.database) else { return };
        let managers = fleet.managers(bouncer.url(), CLIENTS).await;
        measure("by PgBouncer", &fleet, managers, ask).await;
        let Some(fleet) = self::fleet() else { return };
        let control = Arc::new(Control::new(&fleet).await);
        let clients = (0..CLIENTS).map(|_| Arc::clone(&control)).collect();
        measure("control, FOR UPDATE", &fleet, clients, |control| async move {
            control.ask().await;
        })
        .await;
    });
}

fn fleet() -> Option<Fleet> {
    Fleet::new(&json!({"access_ttl_ms": 3_600_000}))
}

/// Has all `clients` ask at once, and prints what that costs.
async fn measure<C, A>(
    what: &str,
    fleet: &Fleet,
    clients: Vec<C>,
    ask: impl Fn(C) -> A + Clone + Send + Sync + 'static,
) where
    C: Send + 'static,
    A: Future<Output = ()> + Send,
{
    fleet.database.log_statements();
    fleet.realm.call_async("hold", json!({"at": "reply"})).await;
    let asking: Vec<JoinHandle<DateTime<Utc>>> = clients
        .into_iter()
        .map(|client| {
            let ask = ask.clone();
            tokio::spawn(async move {
                ask(client).await;
                Utc::now()
            })
        })
        .collect();
    fleet.realm.call_async("wait", json!({"until": {"held": 1}})).await;
    sleep(SETTLING).await;
    let before = statements(&fleet.database.log_text());
    sleep(WAIT - SETTLING).await;
    let made = statements(&fleet.database.log_text()) - before;
    fleet.realm.call_async("release", json!({})).await;
    let mut ends = Vec::new();
    for task in asking {
        ends.push(task.await.expect("no panic"));
    }
    ends.sort();
    let saved = saved_at(&fleet.database.log_text());
    let after =
        |end: DateTime<Utc>| (end - saved).num_microseconds().unwrap_or_default() as f64 / 1e3;
    println!(
        "{what:<24} {:>12.1} {:>14.1} {:>14.1}",
        made as f64 / (WAIT - SETTLING).as_secs_f64(),
        after(ends[CLIENTS / 2]),
        after(ends[CLIENTS - 1]),
    );
    assert_eq!(fleet.realm.stats()["requests"], 1, "one redemption");
}

/// How many statements the log has.
fn statements(log: &str) -> usize {
    let is_statement =
        |line: &&str| line.contains("LOG:  execute") || line.contains("LOG:  statement");
    log.lines().filter(is_statement).count()
}

/// When the new record was sent to the database.
fn saved_at(log: &str) -> DateTime<Utc> {
    let mut time = None;
    let mut saved = None;
    for line in log.lines() {
        if line.contains("LOG:  ") {
            time = line.get(..23);
        }
        if line.contains("SET version = $2") || line.contains("SET record = $1") {
            saved = time;
        }
    }
    let saved = saved.expect("it was saved");
    NaiveDateTime::parse_from_str(saved, "%Y-%m-%d %H:%M:%S%.f").expect("a time").and_utc()
}

/// What programs do by hand: a row that is locked for as long as the request takes.
struct Control {
    config: Config,
    realm: Realm,
    sessions: Semaphore,
}

impl Control {
    async fn new(fleet: &Fleet) -> Self {
        let stored: Value = serde_json::from_str(&fleet.stored().expect("a login")).expect("JSON");
        let token = stored["tokens"]["refresh_token"].as_str().expect("a token").to_owned();
        fleet.database.run(&format!(
            "CREATE TABLE control (record text, is_fresh boolean);
             INSERT INTO control VALUES ('{token}', false)"
        ));
        let config = fleet.database.url().parse().expect("a URL");
        Self { config, realm: fleet.realm.clone(), sessions: Semaphore::new(SESSIONS) }
    }

    async fn ask(&self) {
        let _session = self.sessions.acquire().await.expect("open");
        let (mut client, connection) = self.config.connect(NoTls).await.expect("connected");
        tokio::spawn(connection);
        let transaction = client.transaction().await.expect("begun");
        let locked = "SELECT record, is_fresh FROM control FOR UPDATE";
        let row = transaction.query_one(locked, &[]).await.expect("locked");
        if !row.get::<_, bool>(1) {
            let body =
                json!({"grant_type": "refresh_token", "refresh_token": row.get::<_, &str>(0)});
            let realm = self.realm.clone();
            let asking = spawn_blocking(move || realm.post("/oauth/token", &body));
            let (_, reply) = asking.await.expect("answered");
            let token = reply["refresh_token"].as_str().expect("granted");
            let save = "UPDATE control SET record = $1, is_fresh = true";
            transaction.execute(save, &[&token]).await.expect("saved");
        }
        transaction.commit().await.expect("committed");
    }
}
