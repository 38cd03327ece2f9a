//! One `CODEX_HOME` with a login of the test issuer, for programs of any kind.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::contender::{Contender, Language};
use crate::issuer::{Issuer, Realm};

/// A program that has not saved by then never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// A login and the issuer that knows it.
#[derive(Debug)]
pub struct SharedLogin {
    realm: Realm,
    home: TempDir,
    _issuer: Issuer,
}

impl SharedLogin {
    /// A home with the login `a`, which is not new, at an issuer of this configuration.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[must_use]
    pub fn new(config: &Value) -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let home = tempfile::tempdir().expect("a folder");
        let login = Self { realm: issuer.realm(""), home, _issuer: issuer };
        login.realm.run("reset", config);
        login.sign_in("a", "acct-a");
        login
    }

    /// The issuer's side.
    pub const fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Signs in anew, and replaces what is stored. The text of the record.
    ///
    /// # Panics
    ///
    /// If the record cannot be written.
    pub fn sign_in(&self, name: &str, account: &str) -> String {
        self.sign_in_with(json!({"name": name, "account_id": account}))
    }

    /// The same with an access token that was made just now.
    ///
    /// # Panics
    ///
    /// If the record cannot be written.
    pub fn sign_in_new(&self, name: &str, account: &str) {
        drop(self.sign_in_with(json!({"name": name, "account_id": account, "access_age_s": 0})));
    }

    /// The same with an access token that has expired.
    ///
    /// # Panics
    ///
    /// If the record cannot be written.
    pub fn sign_in_expired(&self, name: &str, account: &str) {
        let login = json!({"name": name, "account_id": account, "access_age_s": 7200});
        drop(self.sign_in_with(login));
    }

    fn sign_in_with(&self, mut login: Value) -> String {
        let account = login["account_id"].as_str().unwrap_or_default();
        login["user_id"] = account.replace("acct", "user").into();
        let login = self.realm.call("login", &login);
        let text = login["text"].as_str().expect("a record");
        self.store(text);
        text.to_owned()
    }

    /// Replaces what is stored.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn store(&self, text: &str) {
        let temp = self.home.path().join("auth.json.new");
        std::fs::write(&temp, text).expect("written");
        std::fs::rename(temp, self.home.path().join("auth.json")).expect("replaced");
    }

    /// What is stored; none if nothing is.
    #[must_use]
    pub fn stored(&self) -> Option<String> {
        std::fs::read_to_string(self.home.path().join("auth.json")).ok()
    }

    /// Whether what is stored is no record, although no program writes it.
    #[must_use]
    pub fn is_garbled(&self) -> bool {
        self.stored().is_some_and(|text| serde_json::from_str::<Value>(&text).is_err())
    }

    /// Whether the stored refresh token is good.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let stored = self.stored().unwrap_or_default();
        self.realm.call("live", &json!({"text": stored}))["refresh"] == true
    }

    /// The same, as soon as whoever is about to save has saved.
    #[must_use]
    pub fn is_live_in_the_end(&self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.is_live() {
                return true;
            }
        }
        false
    }

    /// A contender that is ready.
    #[must_use]
    pub fn contender(&self, language: Language, options: &Value) -> Contender {
        let mut contender = Contender::start(language, self.home(), &self.realm, options);
        contender.wait_until_ready();
        contender
    }
}
