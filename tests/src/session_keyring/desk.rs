//! A home in a session of its own, with the issuer that knows its login.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::SessionKeyring;
use crate::contender::{Contender, Language};
use crate::issuer::{Issuer, Realm};

/// The service of the CLI's item, and ours.
const SERVICE: &str = "Codex Auth";

/// What programs of one user share: the session, and a home that is empty at first.
#[derive(Debug)]
pub struct Desk {
    /// Where the keyring is.
    pub session: SessionKeyring,
    /// The issuer's side.
    pub realm: Realm,
    _issuer: Issuer,
    /// The `CODEX_HOME`.
    pub home: TempDir,
}

/// The only item of the keyring, as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its object on the bus: a new one would be an item that has been made anew.
    pub path: String,
    /// Its label and attributes.
    pub description: Vec<String>,
    /// What it holds.
    pub secret: String,
}

impl Desk {
    /// None where the machine cannot have one, which is said.
    ///
    /// # Panics
    ///
    /// If there is no loopback, or no folder.
    #[expect(clippy::print_stderr, reason = "a skip is said")]
    #[must_use]
    pub fn new() -> Option<Self> {
        let Some(session) = SessionKeyring::start() else {
            eprintln!(
                "skipped: there is no gnome-keyring here; install gnome-keyring, dbus and libsecret-tools"
            );
            return None;
        };
        let issuer = Issuer::start().expect("an issuer");
        let home = tempfile::tempdir().expect("a folder");
        Some(Self { session, realm: issuer.realm(""), _issuer: issuer, home })
    }

    /// Puts a new login into `auth.json`, an expired one.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn sign_in(&self, name: &str) {
        let login = self.realm.call("login", &json!({"name": name, "access_age_s": 7200}));
        std::fs::write(self.file(), login["text"].as_str().expect("a record")).expect("written");
    }

    /// Where `auth.json` is, or would be.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    /// A contender in the session.
    #[must_use]
    pub fn contender(&self, language: Language, store: &str) -> Contender {
        let mut command = language.command();
        self.session.enter(&mut command);
        let revoke_url = format!("{}/oauth/revoke", self.realm.url());
        let options = json!({"store": store, "revoke_url": revoke_url});
        Contender::start_by(command, language, self.home.path(), &self.realm, &options)
    }

    /// One request of a contender of its own.
    #[must_use]
    pub fn request(&self, language: Language, store: &str) -> Value {
        let mut contender = self.contender(language, store);
        let ready = contender.answer();
        if ready["error"].is_string() {
            return ready;
        }
        contender.go();
        contender.answer()
    }

    /// The item of the login; none where there is no such item.
    ///
    /// # Panics
    ///
    /// If the login is there twice, which nobody could tell apart.
    #[must_use]
    pub fn item(&self) -> Option<Item> {
        let printed = self.session.items(SERVICE);
        let (mut paths, mut secret, mut description) = (Vec::new(), String::new(), Vec::new());
        for line in printed.lines() {
            match line.split_once(" = ") {
                None => paths.push(line.to_owned()),
                Some(("secret", value)) => value.clone_into(&mut secret),
                // The daemon's own; it adds the schema once the item has changed.
                Some(("created" | "modified" | "schema", _)) => {}
                Some(_) => description.push(line.to_owned()),
            }
        }
        description.sort();
        assert!(paths.len() < 2, "the login is there twice: {description:?}");
        paths.pop().map(|path| Item { path, description, secret })
    }

    /// The names of the tokens in the keyring's item.
    #[must_use]
    pub fn in_keyring(&self) -> Vec<String> {
        let text = self.item().map(|item| item.secret).unwrap_or_default();
        let leaks = self.realm.call("leaks", &json!({"text": text}));
        let names = leaks["leaks"].as_array().into_iter().flatten();
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// Whether the refresh token in the keyring is good.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let text = self.item().map(|item| item.secret).unwrap_or_default();
        self.realm.call("live", &json!({"text": text}))["refresh"] == true
    }
}
