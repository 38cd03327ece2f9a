//! `move`: a login from one store to another, and what is left of it by a program that is killed.

use std::process::Command;

use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, PostgresOptions, PostgresStorage, Swap};
use codex_auth_tests::postgres::Postgres;
use codex_auth_tests::privilege::is_tracing_denied;
use codex_auth_tests::session_keyring::SessionKeyring;
use codex_auth_tests::tier::sized;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::scene::{Ended, Scene};

/// A key, the Base64 of 32 bytes.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// The system calls by which something is changed that another program sees: of a file, of what is sent
/// to a database, and of what is sent to a keyring. With each the distance between two kills: what is
/// written is mostly no step of a move.
const CALLS: [(&str, usize); 6] =
    [("rename", 1), ("unlink", 1), ("fsync", 3), ("write", 9), ("sendto", 1), ("sendmsg", 3)];

/// A machine with stores that a login can be moved between.
struct Machine {
    scene: Scene,
    database: Option<Postgres>,
    session: Option<SessionKeyring>,
}

impl Machine {
    fn new() -> Self {
        Self { scene: Scene::new(), database: None, session: None }
    }

    /// None where there can be no database, which is said.
    fn with_database() -> Option<Self> {
        let database = Postgres::start()?;
        database.migrate();
        Some(Self { database: Some(database), ..Self::new() })
    }

    fn with_keyring() -> Option<Self> {
        Some(Self { session: Some(SessionKeyring::start()?), ..Self::new() })
    }

    /// The URL of the login of this name.
    fn row(&self, login: &str) -> String {
        let url = self.database.as_ref().expect("a database").url();
        format!("{url}{}login={login}", if url.contains('?') { '&' } else { '?' })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.scene.command(arguments);
        command.env("CODEX_AUTH_STORE_KEY", KEY);
        if let Some(session) = &self.session {
            session.enter(&mut command);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.scene.end(&mut self.command(arguments))
    }

    fn relocate(&self, from: &str, to: &str) -> Ended {
        self.run(&["move", "--from", from, "--to", to])
    }

    /// Puts a new login of `name` into auth.json. Its access token ends in 58 minutes.
    fn sign_in(&self, name: &str) -> String {
        let login = self.scene.realm().call("login", &json!({"name": name, "access_age_s": 120}));
        let text = login["text"].as_str().expect("a record").to_owned();
        self.scene.store(&text);
        text
    }

    /// Copies auth.json into the row of `store`, as no program should.
    fn copy_to(&self, row: &str) {
        let text = std::fs::read_to_string(self.scene.path("auth.json")).expect("a record");
        let record = AuthDotJson::parse(text.as_bytes()).expect("a record");
        let mut options = PostgresOptions::default();
        options.store_key = Some(Secret::new(KEY));
        let url = Secret::new(row);
        let store = PostgresStorage::new(&url, options, Environment::default()).expect("options");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let version = store.load().await.expect("loads").version;
            assert_eq!(store.commit(&version, &record).await.expect("commits"), Swap::Done);
        });
    }

    /// Whether programs find a login in `store`. It is young, so that it is not refreshed.
    fn holds(&self, store: &str) -> bool {
        let ended = self.run(&["--store", store, "token"]);
        assert!([Some(0), Some(3)].contains(&ended.code), "{ended:?}");
        ended.code == Some(0)
    }

    /// Refreshes the login in `store` ahead of time.
    fn refresh(&self, store: &str) {
        // It warns if the refresh takes so long that it prints the old access token.
        let ended = self.run(&["--store", store, "token", "--min-valid", "59m"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// Whether the refresh token in auth.json works.
    fn is_live(&self) -> bool {
        let text = std::fs::read_to_string(self.scene.path("auth.json")).expect("a record");
        self.scene.realm().call("live", &json!({"text": text}))["refresh"] == true
    }

    /// Nothing waits anywhere for a move to be completed.
    fn assert_nothing_waits(&self) {
        let waiting = self.scene.path(".codex-auth-sdk-move/file/auth.json");
        assert!(!waiting.exists());
        if let Some(database) = &self.database {
            let names = database.ask("SELECT login FROM codex_auth_sdk_logins");
            assert!(!format!("{names:?}").contains("being moved"), "{names:?}");
        }
    }

    /// Runs the move, and kills it as a thread of it enters its call of this name and number. Returns
    /// whether that came to pass.
    fn is_killed(&self, from: &str, to: &str, (call, number): (&str, usize)) -> bool {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null"]).arg("-e").arg(format!("trace=/^{call}"));
        strace.arg("-e").arg(format!("inject=/^{call}:signal=SIGKILL:when={number}"));
        let command = self.command(&["move", "--from", from, "--to", to]);
        strace.arg("--").arg(command.get_program()).args(command.get_args());
        strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = strace.output().expect("started");
        assert!(output.status.success() || output.status.code().is_none(), "{output:?}");
        if let Some(database) = &self.database {
            // The claim of a killed program ends by itself, in 40 s.
            database.run("UPDATE codex_auth_sdk_logins SET holder = NULL, claim_end = NULL");
        }
        !output.status.success()
    }

    /// Kills a move at one step after the other. After each, another run completes it.
    fn survives_kills(&self, from: &str, to: &str) {
        let mut kills = 0;
        for (call, distance) in CALLS {
            let mut number = 1;
            while self.survives_kill(from, to, (call, number), kills % 2 == 0) {
                kills += 1;
                number += sized(distance, 1);
            }
        }
        assert!(kills >= 5, "{kills}");
        let stats = self.scene.realm().stats();
        let seen = (&stats["max_redemptions"], &stats["replays"], &stats["refusals"]);
        assert_eq!(seen, (&json!(1), &json!(0), &json!({})));
    }

    /// Kills a move at this call, if there is one, and has another run complete it, after a refresh
    /// where the login still is if `is_refreshed`. Returns whether there is such a call.
    fn survives_kill(&self, from: &str, to: &str, at: (&str, usize), is_refreshed: bool) -> bool {
        // Names of logins do not end in numbers.
        self.sign_in(&format!("{}{}x", at.0, at.1));
        if from != "file" {
            self.relocate("file", from).assert_done();
        }
        let is_killed = self.is_killed(from, to, at);
        let places = [from, to].map(|store| self.holds(store));
        assert_ne!(places, [true, true], "{at:?}");
        if places[0] && is_refreshed {
            // What waits, if it does, is spent now.
            self.refresh(from);
        }
        let ended = self.relocate(from, to);
        if ended.code == Some(3) {
            assert!(places[1], "{at:?}: {ended:?}");
        } else {
            ended.assert_done();
        }
        assert_eq!([from, to].map(|store| self.holds(store)), [false, true], "{at:?}");
        self.assert_nothing_waits();
        if to != "file" {
            self.relocate(to, "file").assert_done();
        }
        assert!(self.is_live(), "{at:?}");
        self.run(&["--store", "file", "logout"]).assert_done();
        is_killed
    }
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_into_a_database_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    machine.survives_kills("file", &machine.row("alice"));
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_out_of_a_database_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    machine.survives_kills(&machine.row("alice"), "file");
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_between_databases_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    machine.survives_kills(&machine.row("alice"), &machine.row("bob"));
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_into_the_keyring_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_keyring() else { return };
    machine.survives_kills("file", "keyring");
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_out_of_the_keyring_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_keyring() else { return };
    machine.survives_kills("keyring", "file");
}

#[test]
fn a_move_says_what_it_did_and_another_one_finds_nothing() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("a");
    let file = machine.scene.path("auth.json").display().to_string();
    let said = machine.relocate("file", &row);
    let text = said.assert_done();
    for part in [&*format!("Moved from {file} to the login \"alice\" in postgres://"), "acct-a"] {
        assert!(text.contains(part), "{text}");
    }
    let again = machine.relocate("file", &row);
    again.assert_failed(
        3,
        &format!("no login is stored in {file}; the login \"alice\" in postgres://"),
    );
    let back = machine.run(&["move", "--json", "--from", &row, "--to", "file"]);
    back.assert_done();
    let back = back.json();
    assert_eq!((&back["version"], &back["to"]), (&json!(1), &json!(file)));
    assert_eq!((&back["account_id"], &back["mode"]), (&json!("acct-a"), &json!("chatgpt")));
    assert!(back["from"].as_str().is_some_and(|from| from.contains("alice")), "{back}");
    let none = machine.run(&["move", "--json", "--from", &row, "--to", "file"]);
    none.assert_failed(3, "no login is stored in the login \"alice\"");
    assert_eq!(none.json()["error"]["code"], "login_required");
    assert!(machine.is_live());
    assert_eq!(machine.scene.realm().stats()["requests"], 0, "no token was presented");
}

#[test]
fn any_credential_is_moved_as_it_is() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    for text in [
        r#"{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-1", "new": [1.50]}"#,
        r#"{"OPENAI_API_KEY": null, "personal_access_token": "at-1"}"#,
    ] {
        machine.scene.store(text);
        let stored = machine.scene.stored();
        machine.relocate("file", &row).assert_done();
        assert!(!machine.scene.path("auth.json").exists());
        machine.relocate(&row, "file").assert_done();
        assert_eq!(machine.scene.stored(), stored);
        machine.run(&["--store", "file", "logout", "--no-revoke"]).assert_done();
    }
    machine.assert_nothing_waits();
}

#[test]
fn g3_a_place_that_holds_another_login_is_left_alone() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    machine.sign_in("b");
    machine.relocate("file", &row).assert_done();
    machine.sign_in("a");
    let ended = machine.relocate("file", &row);
    ended.assert_failed(
        1,
        "holds another login, which a move does not replace; log out there first",
    );
    // A second session of the user: each has a refresh token, and they do not descend from each other.
    let other = json!({"name": "c", "account_id": "acct-a", "user_id": "user-a"});
    let other = machine.scene.realm().call("login", &other);
    let [at_bob, at_alice] = ["bob", "alice"].map(|login| machine.row(login));
    machine.relocate("file", &at_bob).assert_done();
    machine.scene.store(other["text"].as_str().expect("a record"));
    let ended = machine.relocate("file", &at_bob);
    ended.assert_failed(1, "hold tokens of one login, and nothing shows which are newer");
    assert!(machine.is_live());
    assert_eq!(["file", &at_alice, &at_bob].map(|store| machine.holds(store)), [true; 3]);
    machine.assert_nothing_waits();
}

#[test]
fn g3_a_login_beside_the_keyring_is_not_lost_to_a_move() {
    let Some(machine) = Machine::with_keyring() else { return };
    machine.sign_in("a");
    machine.relocate("file", "keyring").assert_done();
    machine.sign_in("b");
    let ended = machine.relocate("keyring", "encrypted");
    ended.assert_failed(1, "holds a login too, which any write of the keyring's item");
    let ended = machine.relocate("keyring", "file");
    ended.assert_failed(1, "holds another login");
    assert!(machine.is_live() && machine.holds("keyring"));
}

#[test]
fn a_login_is_moved_into_the_encrypted_file_and_out_of_it() {
    let Some(machine) = Machine::with_keyring() else { return };
    machine.sign_in("a");
    machine.relocate("file", "encrypted").assert_done();
    machine.relocate("encrypted", "file").assert_done();
    assert!(machine.is_live() && !machine.holds("encrypted"));
}

#[test]
fn the_newer_tokens_of_one_login_are_those_that_are_left() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    let old = machine.sign_in("a");
    machine.refresh("file");
    let new = std::fs::read_to_string(machine.scene.path("auth.json")).expect("a record");
    for (in_row, in_file) in [(&old, &new), (&new, &old)] {
        // Copied by hand.
        machine.scene.store(in_row);
        machine.copy_to(&row);
        for [from, to] in [["file", &row], [&*row, "file"]] {
            machine.scene.store(in_file);
            machine.relocate(from, to).assert_done();
            if to != "file" {
                machine.relocate(to, "file").assert_done();
            }
            assert!(machine.is_live());
            assert!(!machine.holds(&row));
            machine.scene.store(in_row);
            machine.copy_to(&row);
        }
        machine.run(&["--store", &row, "logout", "--no-revoke"]).assert_done();
    }
    assert_eq!(machine.scene.realm().stats()["replays"], 0);
}

#[test]
fn what_is_known_of_the_tokens_moves_along() {
    let Some(machine) = Machine::with_database() else { return };
    let row = machine.row("alice");
    let old = machine.sign_in("a");
    machine.refresh("file");
    machine.relocate("file", &row).assert_done();
    // A backup is put back, without the table's row that knows better.
    let ledger = machine.database.as_ref().expect("a database");
    let ledger = ledger.ask("SELECT encode(ledger, 'hex') FROM codex_auth_sdk_logins");
    machine.scene.store(&old);
    std::fs::remove_file(machine.scene.path(".codex-auth-sdk.json")).expect("there was one");
    machine.copy_to(&row);
    machine.database.as_ref().expect("a database").run(&format!(
        "UPDATE codex_auth_sdk_logins SET ledger = decode('{}', 'hex')",
        ledger[0][0]
    ));
    std::fs::remove_file(machine.scene.path("auth.json")).expect("there was one");
    let ended = machine.relocate(&row, "file");
    ended.assert_failed(3, "was already used by another program");
    assert_eq!(machine.scene.realm().stats()["requests"], 1);
}

#[test]
fn what_would_not_work_elsewhere_is_not_moved() {
    let refused = |machine: &Machine, code: i32, said: &str| {
        let stored = machine.scene.stored();
        machine.relocate("file", "encrypted").assert_failed(code, said);
        assert_eq!(machine.scene.stored(), stored);
    };
    let machine = Machine::new();
    let login = machine.sign_in("a");
    let mut record: Value = serde_json::from_str(&login).expect("JSON");
    record["tokens"]["refresh_token"] = json!("");
    machine.scene.store(&record.to_string());
    refused(&machine, 1, "has no refresh token: another program renews it there");
    machine.scene.store("{}");
    refused(&machine, 3, "no login is stored in ");

    machine.scene.store(&login);
    let realm = machine.scene.realm();
    realm.run("hold", &json!({"at": "reply"}));
    let token = machine.command(&["--store", "file", "token", "--min-valid", "59m"]);
    let killed = machine.scene.start(token);
    drop(realm.wait(&json!({"held": 1})));
    drop(killed);
    refused(&machine, 4, "may be spent: an earlier request with it was never answered");

    let machine = Machine::new();
    machine.sign_in("a");
    machine.scene.realm().run("invalidate_refresh", &json!({"token": "a0"}));
    machine.refresh("file");
    refused(&machine, 3, "was revoked");
}

#[test]
fn g1_what_an_interrupted_move_has_left_is_not_stored_once_it_is_spent() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    let (row, waiting) = (machine.row("alice"), machine.row("alice (being moved here)"));
    let rows = "SELECT login FROM codex_auth_sdk_logins";
    machine.sign_in("a");
    let mut number = 1;
    while machine.database.as_ref().expect("a database").ask(rows).is_empty() {
        assert!(machine.is_killed("file", &row, ("unlink", number)), "{number}");
        number += 1;
    }
    assert!(machine.is_live());
    machine.run(&["--store", &waiting, "refresh"]).assert_failed(3, "no login is stored");
    machine.refresh("file");
    machine.run(&["--store", "file", "logout", "--no-revoke"]).assert_done();
    machine.relocate("file", &row).assert_failed(3, "no login is stored in ");
    assert!(!machine.holds(&row));
    machine.assert_nothing_waits();
}

/// Moves the login while a program refreshes it, which has begun before and ends after that.
fn moves_once_the_refresh_is_saved(machine: &Machine, from: &str, to: &str) {
    machine.sign_in("a");
    if from != "file" {
        machine.relocate("file", from).assert_done();
    }
    let realm = machine.scene.realm();
    realm.run("hold", &json!({"at": "reply"}));
    let token = ["--store", from, "token", "--min-valid", "59m"];
    let mut refresh = machine.scene.start(machine.command(&token));
    drop(realm.wait(&json!({"held": 1})));
    let relocation = ["-v", "move", "--from", from, "--to", to];
    let mut relocation = machine.scene.start(machine.command(&relocation));
    loop {
        let said = relocation.complaint();
        assert!(!said.is_empty(), "it has ended");
        if said.contains("another program holds the refresh lock") {
            break;
        }
    }
    realm.run("release", &json!({}));
    assert_eq!((refresh.end().code(), relocation.end().code()), (Some(0), Some(0)));
    assert_eq!([from, to].map(|store| machine.holds(store)), [false, true]);
    if to != "file" {
        machine.relocate(to, "file").assert_done();
    }
    assert_eq!(machine.scene.named()["tokens"]["refresh_token"], "refresh:a1");
    assert!(machine.is_live());
    assert_eq!(realm.stats()["max_redemptions"], 1);
}

#[test]
fn g4_a_move_out_of_a_file_waits_for_the_refresh_that_is_under_way() {
    let Some(machine) = Machine::with_database() else { return };
    moves_once_the_refresh_is_saved(&machine, "file", &machine.row("alice"));
}

#[test]
fn g4_a_move_out_of_a_database_waits_for_the_refresh_that_is_under_way() {
    let Some(machine) = Machine::with_database() else { return };
    moves_once_the_refresh_is_saved(&machine, &machine.row("alice"), "file");
}

#[test]
fn g4_a_move_into_the_keyring_waits_for_the_refresh_that_is_under_way() {
    let Some(machine) = Machine::with_keyring() else { return };
    moves_once_the_refresh_is_saved(&machine, "file", "keyring");
}

/// Has the database refuse to store the login `alice`.
const REFUSE: &str = "
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'full'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON codex_auth_sdk_logins FOR EACH ROW
    WHEN (NEW.login = 'alice') EXECUTE FUNCTION refuse()";

#[test]
fn g4_a_login_that_waits_for_its_new_place_is_overwritten_by_no_other_one() {
    let Some(machine) = Machine::with_database() else { return };
    let (row, other) = (machine.row("alice"), machine.row("bob"));
    let database = machine.database.as_ref().expect("a database");
    machine.sign_in("b");
    machine.relocate("file", &other).assert_done();
    machine.sign_in("a");
    database.run(REFUSE);
    let ended = machine.relocate("file", &row);
    ended.assert_failed(4, "waits in the login \"alice (being moved here)\" in postgres://");
    assert!(!machine.scene.path("auth.json").exists());
    assert!(!machine.holds(&row) && !machine.holds(&machine.row("alice (being moved here)")));

    let ended = machine.relocate(&other, &row);
    ended.assert_failed(1, "that was interrupted; complete that one first");
    machine.sign_in("c");
    let ended = machine.relocate("file", &row);
    ended.assert_failed(1, "holds another login, whose move from ");
    assert!(machine.is_live() && machine.holds(&other));

    machine.run(&["--store", "file", "logout"]).assert_done();
    machine.relocate("file", &row).assert_failed(4, "waits in the login");
    database.run("DROP TRIGGER refuse ON codex_auth_sdk_logins");
    machine.relocate("file", &row).assert_done();
    machine.assert_nothing_waits();
    machine.relocate(&row, "file").assert_done();
    assert_eq!(machine.scene.named()["tokens"]["refresh_token"], "refresh:a0");
    assert!(machine.is_live());
}

#[test]
fn places_that_make_no_sense_are_refused() {
    let machine = Machine::new();
    machine.sign_in("a");
    for (arguments, said) in [
        (&["move", "--from", "file", "--to", "file"][..], "which is where the login is moved from"),
        (&["move", "--from", "file", "--to", "agent"], "cannot be moved from or to such a store"),
        (&["move", "--from", "auto", "--to", "file"], "cannot be moved from or to such a store"),
        (&["move", "--from", "file", "--to", "postgres://h/d"], "add login=NAME"),
        (&["--store", "file", "move", "--from", "file", "--to", "keyring"], "--from and --to"),
        (&["move", "--from", "file"], "--to <STORE>"),
    ] {
        machine.run(arguments).assert_failed(2, said);
    }
    assert!(machine.is_live());
}
