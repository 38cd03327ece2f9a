//! `migrate`, and logins in a database.

use std::io::{Seek as _, Write as _};
use std::process::Command;

use codex_auth_tests::postgres::Postgres;

use crate::scene::Scene;

const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

#[test]
fn the_tables_are_made_and_hold_logins_by_their_names() {
    let Some(database) = Postgres::start() else { return };
    let scene = Scene::new();
    let url = database.url();
    for _ in 0..2 {
        let said = scene.run(&["migrate", &url]);
        assert_eq!(said.assert_done(), "The tables are those of version 1.\n");
    }
    let command = |login: &str, arguments: &[&str]| {
        let mut all = vec!["--store", &*url, "--login", login];
        all.extend(arguments);
        let mut command = scene.command(&all);
        command.env("CODEX_AUTH_STORE_KEY", KEY);
        command
    };
    let end = |mut command: Command| scene.end(&mut command);
    let mut key = tempfile::tempfile().expect("a file");
    writeln!(key, "sk-alice").expect("written");
    key.rewind().expect("read from its start");
    let mut login = command("alice", &["login", "--api-key-stdin"]);
    login.stdin(key);
    end(login).assert_done();
    let said = end(command("alice", &["status"]));
    assert!(said.stdout.contains("the login \"alice\" in postgres://"), "{said:?}");
    let printed = end(command("alice", &["token"]));
    assert_eq!(printed.assert_done(), "sk-alice\n");
    end(command("bob", &["token"])).assert_failed(3, "no login is stored");
    let mut without_key = command("alice", &["token"]);
    without_key.env_remove("CODEX_AUTH_STORE_KEY");
    end(without_key).assert_failed(2, "CODEX_AUTH_STORE_KEY");
}
