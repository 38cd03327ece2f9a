//! A scripted program that refreshes as a release of the Codex CLI does, step by step.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::release::Release;
use crate::issuer::Realm;

const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// What of the `tokens` every release knows, beside the account.
const TOKENS: [&str; 3] = ["id_token", "access_token", "refresh_token"];

/// One that runs, with the login that it found when it started.
#[derive(Debug)]
pub struct Program {
    release: Release,
    home: PathBuf,
    realm: Realm,
    record: Value,
}

impl Program {
    /// Starts one on the login in `home`.
    ///
    /// # Panics
    ///
    /// If there is no login.
    #[must_use]
    pub fn start(release: Release, home: &Path, realm: &Realm) -> Self {
        let mut program =
            Self { release, home: home.to_owned(), realm: realm.clone(), record: Value::Null };
        program.record = program.read().expect("a login");
        program
    }

    /// One request, and the refresh that it takes if it is answered with 401.
    ///
    /// # Errors
    ///
    /// What the release would tell its user.
    pub fn turn(&mut self) -> Result<(), String> {
        if self.is_authorized()? {
            return Ok(());
        }
        if self.release.reads_first && self.adopt()? && self.is_authorized()? {
            return Ok(());
        }
        match self.redeem() {
            Ok(grant) => self.save(&grant)?,
            Err(_) if self.release.reads_after_refusal && self.adopt()? => {}
            Err(refusal) => return Err(refusal),
        }
        if self.is_authorized()? { Ok(()) } else { Err("still unauthorized".to_owned()) }
    }

    /// Redeems the refresh token that it remembers.
    ///
    /// # Errors
    ///
    /// The code of a refusal.
    pub fn redeem(&self) -> Result<Value, String> {
        let body = json!({
            "client_id": CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": self.record["tokens"]["refresh_token"],
        });
        match self.realm.post("/oauth/token", &body) {
            (200, grant) => Ok(grant),
            (_, refusal) => Err(refusal["error"]["code"].to_string()),
        }
    }

    /// Saves what it was granted.
    ///
    /// # Errors
    ///
    /// If the release would rather drop it.
    pub fn save(&mut self, grant: &Value) -> Result<(), String> {
        self.save_in_parts(grant, || {})
    }

    /// The same, with `meanwhile` wherever the release leaves the file cut short.
    ///
    /// # Errors
    ///
    /// If the release would rather drop it.
    pub fn save_in_parts(&mut self, grant: &Value, meanwhile: impl Fn()) -> Result<(), String> {
        let _locks = self.lock().map_err(|error| error.to_string())?;
        let stored = self.read()?;
        if self.release.compares && stored["tokens"] != self.record["tokens"] {
            return Err("the login has changed".to_owned());
        }
        let record = self.rewritten(stored, grant);
        let text = serde_json::to_string_pretty(&record).expect("a text");
        let written = if self.release.replaces {
            replace(&self.path(), &text)
        } else {
            write_in_parts(&self.path(), &text, meanwhile)
        };
        self.record = record;
        written.map_err(|error| error.to_string())
    }

    /// `stored` with the tokens of `grant`, and without what the release does not know.
    fn rewritten(&self, mut stored: Value, grant: &Value) -> Value {
        let mut tokens = Map::new();
        for name in TOKENS {
            let new = grant.get(name).unwrap_or(&stored["tokens"][name]);
            tokens.insert(name.to_owned(), new.clone());
        }
        tokens.insert("account_id".to_owned(), stored["tokens"]["account_id"].take());
        let mut record = json!({
            "OPENAI_API_KEY": stored["OPENAI_API_KEY"],
            "tokens": tokens,
            "last_refresh": Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true),
        });
        if self.release.keeps_auth_mode {
            record["auth_mode"] = stored["auth_mode"].take();
        }
        record
    }

    /// Whether the store had other tokens of the same account, which it uses from now on.
    fn adopt(&mut self) -> Result<bool, String> {
        let stored = self.read()?;
        if stored["tokens"]["account_id"] != self.record["tokens"]["account_id"] {
            return Err("signed in to another account since".to_owned());
        }
        let is_new = stored["tokens"] != self.record["tokens"];
        self.record = stored;
        Ok(is_new)
    }

    fn is_authorized(&self) -> Result<bool, String> {
        let token = self.record["tokens"]["access_token"].as_str().unwrap_or_default();
        let headers = format!("authorization: Bearer {token}\r\nx-test-client: foreign\r\n");
        let reply = self.realm.exchange("GET", "/api/me", "text/plain", &headers, "");
        reply.map(|reply| reply.status == 200).map_err(|error| error.to_string())
    }

    fn lock(&self) -> io::Result<Vec<File>> {
        let lock = |name: &&str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(self.home.join(name))?;
            file.lock()?;
            Ok(file)
        };
        self.release.locks.iter().map(lock).collect()
    }

    fn read(&self) -> Result<Value, String> {
        let text = std::fs::read(self.path()).map_err(|error| error.to_string())?;
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    }

    fn path(&self) -> PathBuf {
        self.home.join("auth.json")
    }
}

/// Truncates the file and writes it in two parts, with `between` before either.
pub(super) fn write_in_parts(path: &Path, text: &str, between: impl Fn()) -> io::Result<()> {
    let mut file = File::create(path)?;
    let (first, second) = text.split_at(text.len() / 2);
    between();
    file.write_all(first.as_bytes())?;
    between();
    file.write_all(second.as_bytes())
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temp = path.with_file_name(".auth-scripted");
    let mut file = File::create(&temp)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(temp, path)
}
