//! Logins in a database: `migrate`, `logins`, `rekey`.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::process::Command;

use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, PostgresOptions, PostgresStorage, Swap};
use codex_auth_tests::postgres::Postgres;
use serde_json::{Value, json};

use crate::scene::{Ended, Scene};

/// Keys, the Base64 of 32 bytes each.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const OTHER_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// A name that looks like another login, and would command a terminal.
const EVIL: &str = "evil\u{1b}]0;title\u{7}\n\"b\": \u{202e}mode";

/// Claims all logins as holders that have vanished since.
const VANISHED: &str = "UPDATE codex_auth_sdk_logins
                        SET holder = 'h', claim_ms = 40000, claim_end = clock_timestamp()";

/// The store of `login`, with these keys.
fn store(database: &Postgres, login: &str, keys: &str) -> PostgresStorage {
    let mut options = PostgresOptions::default();
    options.login = Some(login.to_owned());
    options.store_key = Some(Secret::new(keys));
    let url = Secret::new(database.url());
    PostgresStorage::new(&url, options, Environment::default()).expect("options")
}

/// Stores the record `text`, and returns its store.
async fn put(database: &Postgres, login: &str, keys: &str, text: &str) -> PostgresStorage {
    let store = store(database, login, keys);
    let version = store.load().await.expect("loads").version;
    let record = AuthDotJson::parse(text.as_bytes()).expect("a record");
    assert_eq!(store.commit(&version, &record).await.expect("commits"), Swap::Done);
    store
}

/// The record of a ChatGPT login, by the name of its account.
fn chatgpt(scene: &Scene, account: &str) -> String {
    let login = scene.realm().call("login", &json!({"name": account}));
    login["text"].as_str().expect("a record").to_owned()
}

/// The record of an API key.
fn api_key(key: &str) -> String {
    json!({"OPENAI_API_KEY": key}).to_string()
}

/// The command with these keys.
fn command(scene: &Scene, keys: &str, arguments: &[&str]) -> Command {
    let mut command = scene.command(arguments);
    command.env("CODEX_AUTH_STORE_KEY", keys);
    command
}

#[test]
fn the_tables_are_made_and_hold_logins_by_their_names() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    let url = database.url();
    for _ in 0..2 {
        let said = scene.run(&["migrate", &url]);
        assert_eq!(said.assert_done(), "The tables are those of version 2.\n");
    }
    let of_login = |login: &str, arguments: &[&str]| {
        let mut all = vec!["--store", &*url, "--login", login];
        all.extend(arguments);
        command(&scene, KEY, &all)
    };
    let end = |mut command: Command| scene.end(&mut command);
    let mut login = of_login("alice", &["login", "--api-key-stdin"]);
    login.stdin(file_of("sk-alice"));
    end(login).assert_done();
    let said = end(of_login("alice", &["status"]));
    assert!(said.stdout.contains("the login \"alice\" in postgres://"), "{said:?}");
    let printed = end(of_login("alice", &["token"]));
    assert_eq!(printed.assert_done(), "sk-alice\n");
    end(of_login("bob", &["token"])).assert_failed(3, "no login is stored");
    let mut without_key = of_login("alice", &["token"]);
    without_key.env_remove("CODEX_AUTH_STORE_KEY");
    end(without_key).assert_failed(2, "CODEX_AUTH_STORE_KEY");
}

fn file_of(text: &str) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    writeln!(file, "{text}").expect("written");
    file.rewind().expect("read from its start");
    file
}

#[tokio::test]
async fn the_logins_are_listed_without_their_secrets() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    let alice = put(&database, "alice", KEY, &chatgpt(&scene, "a")).await;
    put(&database, "bob", KEY, &api_key("sk-bob")).await;
    put(&database, "closed", OTHER_KEY, &api_key("sk-closed")).await;
    put(&database, EVIL, KEY, "{}").await;
    let _claim = alice.try_lock().await.expect("a lock").expect("free");
    let list = |arguments: &[&str]| {
        let url = database.url();
        let mut all = vec!["logins", &*url];
        all.extend(arguments);
        scene.end(&mut command(&scene, KEY, &all)).assert_done().to_owned()
    };

    let text = list(&[]);
    let lines: Vec<_> = text.lines().collect();
    for (line, parts) in lines.iter().zip([
        &["\"alice\": mode chatgpt, user user-a, workspace acct-a, plan plus; the access token ends ",
          " ago)", "; claimed for a refresh"][..],
        &["\"bob\": mode api_key; stored "],
        &["\"closed\": cannot be read: ", "is stored by the key ", "add the key that is missing"],
        &["\"evil\\u{1b}]0;title\\u{7}\\n\\\"b\\\": \\u{202e}mode\": no login; stored "],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}: {parts:?}");
    }
    assert_eq!(lines.len(), 4, "{text}");
    assert!(!text.contains('@') && !text.contains("sk-"), "{text}");
    assert!(!lines[1].contains("claimed"), "{text}");

    let text = list(&["--json"]);
    assert!(!text.contains('@') && !text.contains("sk-"), "{text}");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<Value> = lines.collect();
    let names: Vec<_> = lines.iter().map(|line| line["name"].as_str()).collect();
    assert_eq!(names, ["alice", "bob", "closed", EVIL].map(Some));
    assert!(lines.iter().all(|line| line["version"] == 1 && line["changed_at"].is_string()));
    let alice = &lines[0];
    assert_eq!((&alice["is_claimed"], &alice["error"]), (&json!(true), &Value::Null));
    let login = &alice["login"];
    assert!(login["expires_at"].is_string(), "{alice}");
    for (name, value) in [
        ("user_id", "user-a"),
        ("account_id", "acct-a"),
        ("plan_type", "plus"),
        ("mode", "chatgpt"),
    ] {
        assert_eq!(login[name], value, "{alice}");
    }
    assert_eq!(
        (&lines[1]["login"]["mode"], &lines[1]["is_claimed"]),
        (&json!("api_key"), &json!(false))
    );
    assert_eq!(lines[2]["error"]["code"], "store_unavailable");
    assert!(lines[3]["login"].is_null() && lines[3]["error"].is_null(), "{}", lines[3]);
}

#[tokio::test]
async fn a_claim_that_has_ended_is_none_and_any_number_of_logins_is_listed_once_each() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    put(&database, "alice", KEY, &api_key("sk-alice")).await;
    database.run(&format!(
        "{VANISHED};
         INSERT INTO codex_auth_sdk_logins (login, id, version, record)
             SELECT 'n' || number, number, '1', '{{}}' FROM generate_series(1, 250) number"
    ));
    let url = database.url();
    let listed = scene.end(&mut command(&scene, &format!("{KEY},plaintext"), &["logins", &url]));
    let text = listed.assert_done();
    assert!(!text.contains("claimed"), "{text}");
    let mut names: Vec<_> = text.lines().map(|line| line.split(':').next()).collect();
    assert_eq!(names.len(), 251);
    names.dedup();
    assert_eq!(names.len(), 251);
}

#[test]
fn a_database_that_cannot_be_listed_says_why() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    let url = database.url();
    let mut without_key = scene.command(&["logins", &url]);
    scene.end(&mut without_key).assert_failed(2, "CODEX_AUTH_STORE_KEY");
    let nowhere = "postgres:///db?host=/nowhere";
    let failed = scene.end(&mut command(&scene, KEY, &["logins", "--json", nowhere]));
    failed.assert_failed(4, "cannot be reached");
    assert_eq!(failed.json()["error"]["code"], "store_unavailable");
    let empty = scene.end(&mut command(&scene, KEY, &["logins", &url]));
    assert_eq!(empty.assert_done(), "");
}

/// Keys of which the new one comes first.
const ROTATED: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,\
                       AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,plaintext";

const LOST_KEY: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

fn rekey(scene: &Scene, database: &Postgres) -> Ended {
    scene.end(&mut command(scene, ROTATED, &["rekey", &database.url()]))
}

/// What `rekey` says of so many logins.
fn said(done: u32, claimed: u32, changed: u32, closed: u32) -> String {
    format!(
        "Encrypted anew: {done}. Left to another run: {claimed} that are being refreshed, {changed} \
         that other programs have just changed. Opened by no key: {closed}.\n"
    )
}

/// The API key of the stored record.
async fn stored_key(store: &PostgresStorage) -> String {
    let record = store.load().await.expect("loads").record.expect("a record");
    record.openai_api_key.as_ref().expect("a key").expose().to_owned()
}

/// All of the rows but for the key and what it encrypts.
const THE_REST: &str = "SELECT login, id, version, ledger, holder, claim_ms, claim_end, changed_at
                        FROM codex_auth_sdk_logins ORDER BY login";

#[tokio::test]
async fn each_login_gets_the_first_key_and_managers_do_not_notice() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    for (login, keys) in [("a", KEY), ("b", "plaintext"), ("c", OTHER_KEY), (EVIL, KEY)] {
        put(&database, login, keys, &api_key(&format!("sk-{login}"))).await;
    }
    let (manager, rest) = (store(&database, "a", ROTATED), database.ask(THE_REST));
    let version = manager.load().await.expect("loads").version;
    assert_eq!(rekey(&scene, &database).assert_done(), said(3, 0, 0, 0));
    assert_eq!(database.ask(THE_REST), rest);
    for login in ["a", "b", "c", EVIL] {
        let key = stored_key(&store(&database, login, OTHER_KEY)).await;
        assert_eq!(key, format!("sk-{login}"));
    }
    let rows = "SELECT login, key_id, record FROM codex_auth_sdk_logins ORDER BY login";
    let before = database.ask(rows);
    assert_eq!(rekey(&scene, &database).assert_done(), said(0, 0, 0, 0));
    assert_eq!(database.ask(rows), before, "there was nothing to do");
    let record = AuthDotJson::parse(api_key("sk-new").as_bytes()).expect("a record");
    assert_eq!(manager.commit(&version, &record).await.expect("commits"), Swap::Done);
    assert_eq!(stored_key(&manager).await, "sk-new");
}

#[tokio::test]
async fn a_login_that_no_key_opens_is_named_and_stops_no_other() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    for (login, keys) in [("a", KEY), (EVIL, LOST_KEY), ("z", KEY)] {
        put(&database, login, keys, &api_key("sk-1")).await;
    }
    for done in [2, 0] {
        let ended = rekey(&scene, &database);
        ended.assert_failed(1, "the login \"evil\\u{1b}]0;title");
        assert_eq!((ended.stderr.lines().count(), &ended.stdout), (1, &said(done, 0, 0, 1)));
    }
    assert_eq!(stored_key(&store(&database, EVIL, LOST_KEY)).await, "sk-1", "it is what it was");
}

#[tokio::test]
async fn a_login_that_is_being_refreshed_is_left_to_another_run() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    let refreshed = put(&database, "a", KEY, &api_key("sk-a")).await;
    put(&database, "b", KEY, &api_key("sk-b")).await;
    let claim = refreshed.try_lock().await.expect("a lock").expect("free");
    let ended = rekey(&scene, &database);
    assert_eq!((ended.code, &*ended.stdout), (Some(4), &*said(1, 1, 0, 0)), "{ended:?}");
    // Its holder knows the old key only.
    assert_eq!(stored_key(&refreshed).await, "sk-a");
    drop(claim);
    database.wait_until("SELECT count(holder) = 0 FROM codex_auth_sdk_logins");
    database.run(VANISHED);
    assert_eq!(rekey(&scene, &database).assert_done(), said(1, 0, 0, 0));
}

#[test]
fn what_another_program_saves_or_claims_meanwhile_is_kept() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    database.migrate();
    for (change, is_left, key) in [
        (
            "version = 'new', key_id = NULL, record = '{\"OPENAI_API_KEY\": \"sk-new\"}'",
            false,
            "sk-new",
        ),
        ("holder = 'h', claim_ms = 40000, claim_end = now() + interval '1 h'", true, "sk-old"),
    ] {
        database.run(
            "DELETE FROM codex_auth_sdk_logins;
             INSERT INTO codex_auth_sdk_logins (login, id, version, record)
                 VALUES ('a', 'i', 'old', '{\"OPENAI_API_KEY\": \"sk-old\"}')",
        );
        // The row is read, and another program changes it before it is written.
        let saving = database.hold(&format!("UPDATE codex_auth_sdk_logins SET {change}"));
        let mut running = scene.start(command(&scene, ROTATED, &["rekey", &database.url()]));
        database.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
        saving.commit();
        let expected = if is_left { said(0, 1, 0, 0) } else { said(1, 0, 0, 0) };
        assert_eq!(running.line(), expected);
        assert_eq!(running.end().code(), Some(if is_left { 4 } else { 0 }));
        let url = database.url();
        let keys = if is_left { "plaintext" } else { OTHER_KEY };
        let token = ["--store", &*url, "--login", "a", "token"];
        let printed = scene.end(&mut command(&scene, keys, &token));
        assert_eq!(printed.assert_done(), format!("{key}\n"));
    }
}
