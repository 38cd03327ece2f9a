//! What it costs to open one of many logins in a database. The memory is that of the whole process, so
//! this is its only test.

#![cfg(target_os = "linux")]

use std::fs::read_to_string;
use std::ops::Range;
use std::time::Duration;

use codex_auth_sdk::{AuthManager, Secret};
use codex_auth_tests::postgres::Postgres;
use tokio::runtime::Runtime;

const STORED: usize = 10_000;

/// How many are open at once.
const OPEN: usize = 1_000;

/// The most memory that an open manager may take, in bytes.
const MOST_MEMORY: usize = 20_000;

/// Stores logins in plain text, with the names `0`, `1` and so on, and records of the usual size.
fn store_many(database: &Postgres) {
    database.run(&format!(
        "INSERT INTO codex_auth_sdk_logins (login, id, version, record)
         SELECT n, 'id ' || n, 'version', convert_to(json_build_object(
             'tokens', json_build_object(
                 'id_token', repeat('i', 1500), 'access_token', repeat('a', 2000),
                 'refresh_token', 'rt-' || n, 'account_id', 'acct-' || n)
         )::text, 'UTF8')
         FROM generate_series(0, {}) AS n",
        STORED - 1
    ));
}

async fn open(database: &Postgres, login: usize) -> AuthManager {
    let manager = AuthManager::builder()
        .store(database.url().parse().expect("a store"))
        .login(login.to_string())
        .store_key(Secret::new("plaintext"))
        .build()
        .await
        .expect("a manager");
    let auth = manager.auth().expect("signed in");
    assert_eq!(auth.account_id(), Some(&*format!("acct-{login}")));
    manager
}

async fn close(manager: AuthManager) {
    assert!(manager.close(Duration::from_secs(60)).await, "nothing is left to do");
}

/// Opens these logins, closes them, and returns by how many bytes the process grew meanwhile.
async fn growth(database: &Postgres, logins: Range<usize>) -> usize {
    let before = memory();
    let mut managers = Vec::new();
    for login in logins {
        managers.push(open(database, login).await);
    }
    let grown = memory().saturating_sub(before);
    for manager in managers {
        close(manager).await;
    }
    grown
}

/// The memory of this process that is no file's, in bytes.
fn memory() -> usize {
    let status = read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("KiB") * 1024
}

/// How many statements the server has logged.
fn statements(database: &Postgres) -> usize {
    let log = database.log_text();
    ["LOG:  execute ", "LOG:  statement: "].iter().map(|line| log.matches(line).count()).sum()
}

#[test]
fn one_of_many_logins_costs_one_query_and_little_memory_which_it_gives_back() {
    let Some(database) = Postgres::start() else { return };
    database.migrate();
    store_many(&database);
    let runtime = Runtime::new().expect("a runtime");
    // It has what the process needs once: the connection, and its version of the tables.
    let kept = runtime.block_on(open(&database, 0));
    runtime.block_on(async {
        let first = growth(&database, 1..1 + OPEN).await;
        assert!(first < OPEN * MOST_MEMORY, "{} bytes a manager", first / OPEN);
        let next = growth(&database, 5_000..5_000 + OPEN).await;
        assert!(next < first / 4, "{first} bytes at first, and {next} more after they were closed");
    });
    database.log_statements();
    let before = statements(&database);
    runtime.block_on(async {
        close(open(&database, STORED - 1).await).await;
    });
    assert_eq!(statements(&database) - before, 1, "{}", database.log_text());
    drop(kept);
}
