//! A machine on which a Codex CLI keeps its login in an encrypted file.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use age::scrypt;
use age::secrecy::SecretString;
use chrono::DateTime;
use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{
    AuthDotJson, AuthStorage, AutoStorage, EncryptedStorage, KeyringItem, Loaded, Swap,
};
use codex_auth_tests::memory_keyring::MemoryKeyring;
use codex_auth_tests::paused::simulated;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Milliseconds; what a test needs to see a derivation in progress takes a few more.
const FAST: u8 = 2;

pub(crate) struct Machine {
    pub(crate) home: TempDir,
    pub(crate) keyring: MemoryKeyring,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { home, keyring: MemoryKeyring::default() }
    }

    /// A machine on which a Codex CLI keeps `login`, and a secret of something else.
    pub(crate) fn with_login(login: &str) -> Self {
        let machine = Self::new();
        machine.put_passphrase("correct horse");
        machine.put_file("correct horse", &secrets(login));
        machine
    }

    pub(crate) fn store(&self) -> EncryptedStorage {
        self.store_in(simulated(DateTime::UNIX_EPOCH))
    }

    pub(crate) fn store_in(&self, environment: Environment) -> EncryptedStorage {
        let keyring = Arc::new(self.keyring.clone());
        EncryptedStorage::new(self.home.path(), keyring, environment).with_work_factor(FAST)
    }

    pub(crate) fn auto_store(&self) -> AutoStorage {
        AutoStorage::encrypted(self.store())
    }

    pub(crate) fn item(&self) -> KeyringItem {
        KeyringItem::passphrase(&self.home.path().canonicalize().expect("a folder"))
    }

    pub(crate) fn passphrase(&self) -> Option<String> {
        self.keyring.peek(&self.item()).map(|passphrase| passphrase.expose().to_owned())
    }

    pub(crate) fn put_passphrase(&self, passphrase: &str) {
        self.keyring.put(&self.item(), Secret::new(passphrase));
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.home.path().join("secrets/codex_auth.age")
    }

    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        std::fs::read(self.path()).ok()
    }

    /// Writes the file as the Codex CLI does, by the library and the mode that it uses.
    pub(crate) fn put_file(&self, passphrase: &str, contents: &Value) {
        let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase));
        recipient.set_work_factor(FAST + 1);
        let file = age::encrypt(&recipient, contents.to_string().as_bytes()).expect("encrypts");
        std::fs::create_dir_all(self.home.path().join("secrets")).expect("made");
        std::fs::write(self.path(), file).expect("written");
        std::fs::set_permissions(self.path(), PermissionsExt::from_mode(0o644)).expect("set");
    }

    /// Reads the file as the Codex CLI does.
    pub(crate) fn contents(&self) -> Value {
        let passphrase = self.passphrase().expect("a passphrase");
        let identity = scrypt::Identity::new(SecretString::from(passphrase));
        let plain = age::decrypt(&identity, &self.bytes().expect("a file")).expect("decrypts");
        serde_json::from_slice(&plain).expect("a map")
    }

    pub(crate) fn put_auth_json(&self, text: &str) {
        std::fs::write(self.home.path().join("auth.json"), text).expect("written");
    }

    pub(crate) fn auth_json(&self) -> Option<String> {
        std::fs::read_to_string(self.home.path().join("auth.json")).ok()
    }
}

pub(crate) fn secrets(login: &str) -> Value {
    json!({"version": 1, "secrets": {"global/CODEX_AUTH": login, "global/OTHER": "not ours"}})
}

pub(crate) fn login(token: &str) -> String {
    format!(
        r#"{{"tokens":{{"id_token":"","access_token":"at","refresh_token":"{token}","account_id":"a"}},"last_refresh":"2026-11-23T18:00:00Z"}}"#
    )
}

pub(crate) fn parse(text: &str) -> AuthDotJson {
    AuthDotJson::parse(text.as_bytes()).expect("a record")
}

pub(crate) fn token(loaded: &Loaded) -> &str {
    let tokens = loaded.record.as_ref().and_then(|record| record.tokens.as_ref());
    tokens.expect("a login").refresh_token.expose()
}

pub(crate) async fn load(store: &dyn AuthStorage) -> Loaded {
    store.load().await.expect("loads")
}

pub(crate) async fn commit(store: &dyn AuthStorage, token: &str) -> Swap {
    let version = load(store).await.version;
    store.commit(&version, &parse(&login(token))).await.expect("commits")
}
