//! The stores between which logins are moved.

use std::process::Command;

use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthDotJson, AuthStorage, PostgresOptions, PostgresStorage, Swap};
use codex_auth_tests::postgres::Postgres;
use codex_auth_tests::session_keyring::SessionKeyring;
use serde_json::json;
use tokio::runtime::Builder;

use crate::scene::{Ended, Scene};

/// A key, the Base64 of 32 bytes.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// A machine with stores that a login can be moved between.
pub(super) struct Machine {
    pub(super) scene: Scene,
    pub(super) database: Option<Postgres>,
    session: Option<SessionKeyring>,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { scene: Scene::new(), database: None, session: None }
    }

    /// None where there can be no database, which is said.
    pub(super) fn with_database() -> Option<Self> {
        let database = Postgres::start()?;
        database.migrate();
        Some(Self { database: Some(database), ..Self::new() })
    }

    pub(super) fn with_keyring() -> Option<Self> {
        Some(Self { session: Some(SessionKeyring::start()?), ..Self::new() })
    }

    pub(super) fn with_keyring_and_database() -> Option<Self> {
        Some(Self { session: Some(SessionKeyring::start()?), ..Self::with_database()? })
    }

    pub(super) fn database(&self) -> &Postgres {
        self.database.as_ref().expect("a database")
    }

    /// Has the database run `body` for each row `NEW` or `OLD` at this `event`, as another program or a
    /// full disk might change what is stored just then.
    pub(super) fn trigger(&self, event: &str, condition: &str, body: &str) {
        self.database().run(&format!(
            "CREATE OR REPLACE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN {body}; RETURN NULL; END $$;
             CREATE TRIGGER act AFTER {event} ON codex_auth_sdk_logins FOR EACH ROW
                 WHEN ({condition}) EXECUTE FUNCTION act()"
        ));
    }

    pub(super) fn drop_trigger(&self) {
        self.database().run("DROP TRIGGER act ON codex_auth_sdk_logins");
    }

    /// The names of the rows.
    pub(super) fn rows(&self) -> Vec<String> {
        let rows = self.database().ask("SELECT login FROM codex_auth_sdk_logins ORDER BY login");
        rows.into_iter().flatten().collect()
    }

    /// The URL of the login of this name.
    pub(super) fn row(&self, login: &str) -> String {
        let url = self.database().url();
        format!("{url}{}login={login}", if url.contains('?') { '&' } else { '?' })
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.scene.command(arguments);
        command.env("CODEX_AUTH_STORE_KEY", KEY);
        if let Some(session) = &self.session {
            session.enter(&mut command);
        }
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        self.scene.end(&mut self.command(arguments))
    }

    pub(super) fn relocate(&self, from: &str, to: &str) -> Ended {
        self.run(&["move", "--from", from, "--to", to])
    }

    /// Puts a new login of `name` into auth.json. Its access token ends in 58 minutes.
    pub(super) fn sign_in(&self, name: &str) -> String {
        let login = self.scene.realm().call("login", &json!({"name": name, "access_age_s": 120}));
        let text = login["text"].as_str().expect("a record").to_owned();
        self.scene.store(&text);
        text
    }

    /// Puts a second session of the user `a` into auth.json: it has a refresh token of its own.
    pub(super) fn sign_in_again(&self) {
        let other = json!({"name": "c", "account_id": "acct-a", "user_id": "user-a"});
        let other = self.scene.realm().call("login", &other);
        self.scene.store(other["text"].as_str().expect("a record"));
    }

    /// Copies auth.json into the row of `store`, as no program should.
    pub(super) fn copy_to(&self, row: &str) {
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

    /// Moves auth.json into the keyring, whatever the ledger knows of its tokens.
    pub(super) fn put_into_keyring(&self) {
        let [ledger, aside] = [".codex-auth-sdk.json", "aside"].map(|name| self.scene.path(name));
        std::fs::rename(&ledger, &aside).expect("renamed");
        self.relocate("file", "keyring").assert_done();
        std::fs::rename(&aside, &ledger).expect("renamed");
    }

    /// Whether programs find a login in `store`. It is young, so that it is not refreshed.
    pub(super) fn holds(&self, store: &str) -> bool {
        let ended = self.run(&["--store", store, "token"]);
        assert!([Some(0), Some(3)].contains(&ended.code), "{ended:?}");
        ended.code == Some(0)
    }

    /// Refreshes the login in `store` ahead of time.
    pub(super) fn refresh(&self, store: &str) {
        // It warns if the refresh takes so long that it prints the old access token.
        let ended = self.run(&["--store", store, "token", "--min-valid", "59m"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// Whether the refresh token in auth.json works.
    pub(super) fn is_live(&self) -> bool {
        let text = std::fs::read_to_string(self.scene.path("auth.json")).expect("a record");
        self.scene.realm().call("live", &json!({"text": text}))["refresh"] == true
    }

    /// Nothing waits anywhere for a move to be completed.
    pub(super) fn assert_nothing_waits(&self) {
        let waiting = self.scene.path(".codex-auth-sdk-move/file/auth.json");
        assert!(!waiting.exists());
        if let Some(database) = &self.database {
            let names = database.ask("SELECT login FROM codex_auth_sdk_logins");
            assert!(!format!("{names:?}").contains("being moved"), "{names:?}");
        }
    }
}
