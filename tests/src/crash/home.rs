//! A shared login that programs die over.

use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::contender::{Contender, Language};
use crate::issuer::Realm;

/// The refresh lock, and the commit locks in their order.
pub(super) const LOCKS: [&str; 3] = [".codex-auth-sdk.lock", "auth.lock", "auth.json.lock"];

/// What a spent refresh token costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The request is refused.
    Refuses,
    /// Every token of the login dies.
    RevokesFamilies,
    /// Nothing for a minute: the same successor is granted again.
    GrantsAgain,
}

/// A CODEX_HOME and the realm of its login.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    realm: Realm,
    server: Server,
    options: Value,
}

/// What became of the stored login, by the issuer's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The stored pair: `a0`.
    pub label: String,
    /// Whether its refresh token would be granted.
    pub is_good: bool,
    /// Whether its access token is accepted.
    pub is_fresh: bool,
    /// The pair that was granted for its refresh token and never stored.
    pub successor: Option<String>,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refuses, Self::RevokesFamilies, Self::GrantsAgain];

    fn config(self) -> Value {
        match self {
            Self::Refuses => json!({"policy": "error", "grant_latency_ms": 10}),
            Self::RevokesFamilies => json!({"policy": "revoke_family", "grant_latency_ms": 10}),
            Self::GrantsAgain => json!({"grace_ms": 60_000, "grant_latency_ms": 10}),
        }
    }
}

impl Home {
    /// An empty one; `options` are those of its managers.
    ///
    /// # Panics
    ///
    /// If there can be no folder.
    #[must_use]
    pub fn new(realm: Realm, server: Server, options: Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, realm, server, options }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The issuer of its login.
    #[must_use]
    pub const fn realm(&self) -> &Realm {
        &self.realm
    }

    /// What its issuer does.
    #[must_use]
    pub const fn server(&self) -> Server {
        self.server
    }

    /// Forgets all that was, and signs in anew as another program does, with an access token that
    /// has expired: the next request needs the refresh token of `a0`.
    pub fn sign_in(&self) {
        self.realm.run("reset", &self.server.config());
        self.store(&self.realm.call("login", &json!({"name": "a", "access_age_s": 7200})));
    }

    /// Stores what a control call made, as another program does.
    ///
    /// # Panics
    ///
    /// If the record cannot be written.
    pub fn store(&self, made: &Value) {
        let written = self.path().join("auth.json.new");
        fs::write(&written, made["text"].as_str().expect("a record")).expect("written");
        fs::rename(&written, self.path().join("auth.json")).expect("renamed");
    }

    /// A contender that has a manager.
    #[must_use]
    pub fn start(&self, language: Language) -> Contender {
        let mut contender = self.begin(language);
        contender.wait_until_ready();
        contender
    }

    /// A contender that is still to make one.
    #[must_use]
    pub fn begin(&self, language: Language) -> Contender {
        Contender::start(language, self.path(), &self.realm, &self.options)
    }

    /// The options of its managers.
    #[must_use]
    pub const fn options(&self) -> &Value {
        &self.options
    }

    /// What became of the login.
    ///
    /// # Errors
    ///
    /// If the store holds no login that the issuer knows: what it holds instead.
    pub fn fate(&self) -> Result<Fate, String> {
        let text = fs::read_to_string(self.path().join("auth.json"));
        let text = text.map_err(|error| format!("the store cannot be read: {error}"))?;
        let live = self.realm.call("live", &json!({"text": text}));
        let label = live["label"].as_str().ok_or_else(|| format!("the store holds {text:?}"))?;
        Ok(Fate {
            label: label.to_owned(),
            is_good: live["refresh"] == true,
            is_fresh: live["access"] == true,
            successor: live["successor"].as_str().map(str::to_owned),
        })
    }

    /// The issuer's records of the first refresh token.
    #[must_use]
    pub fn first_token(&self) -> Value {
        self.realm.stats()["tokens"]["a0"].take()
    }

    /// How many temp files of saves there are.
    ///
    /// # Panics
    ///
    /// If the folder cannot be read.
    #[must_use]
    pub fn temp_files(&self) -> usize {
        let entries = fs::read_dir(self.path()).expect("the folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".tmp")).count()
    }

    /// The lock files that somebody holds.
    #[must_use]
    pub fn held_locks(&self) -> Vec<&'static str> {
        LOCKS.into_iter().filter(|name| self.is_locked(name)).collect()
    }

    /// Whether somebody holds the lock file of this name.
    ///
    /// # Panics
    ///
    /// If a lock of our own cannot be given back.
    #[must_use]
    pub fn is_locked(&self, name: &str) -> bool {
        let Ok(file) = File::open(self.path().join(name)) else { return false };
        let is_locked = file.try_lock().is_err();
        // By itself it would stay with any process that is being started right now.
        file.unlock().expect("unlocked");
        is_locked
    }

    /// Whether all lock files are there: they are never removed.
    #[must_use]
    pub fn has_locks(&self) -> bool {
        LOCKS.iter().all(|name| self.path().join(name).exists())
    }
}
