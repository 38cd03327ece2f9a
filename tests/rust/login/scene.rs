//! A realm, a home, and a browser.

use std::path::{Path, PathBuf};
use std::time::Duration;

use codex_auth_sdk::{AuthManager, AuthManagerBuilder, CodexAuth, Error, LoginOptions, Result};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::options::with;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

/// No test waits longer for anything.
const WATCHDOG: Duration = Duration::from_secs(180);

pub(crate) struct Scene {
    issuer: Issuer,
    home: TempDir,
}

impl Scene {
    /// A realm without a login.
    pub(crate) fn new() -> Self {
        // Fails where another test of this process was faster.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            issuer: Issuer::start().expect("an issuer"),
            home: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A realm where `a` is signed in.
    pub(crate) async fn signed_in() -> Self {
        let scene = Self::new();
        let login = scene.realm().call_async("login", json!({"name": "a"})).await;
        let text = login["text"].as_str().expect("a record");
        std::fs::write(scene.auth_json(), text).expect("written");
        scene
    }

    pub(crate) fn realm(&self) -> Realm {
        self.issuer.realm("")
    }

    pub(crate) fn auth_json(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn builder(&self) -> AuthManagerBuilder {
        let url = self.realm().url().to_owned();
        AuthManager::builder()
            .codex_home(self.home.path())
            .issuer(url)
            .winner_wait(Duration::from_millis(100))
    }

    pub(crate) async fn manager(&self) -> AuthManager {
        self.builder().build().await.expect("a manager")
    }

    /// The text of the store; none where there is nothing.
    pub(crate) fn stored(&self) -> Option<String> {
        std::fs::read_to_string(self.auth_json()).ok()
    }

    /// The stored record with names in place of tokens.
    pub(crate) async fn record(&self) -> Value {
        let text = self.stored().expect("a record");
        let inspected = self.realm().call_async("inspect", json!({"text": text})).await;
        inspected["record"].clone()
    }

    pub(crate) async fn configure(&self, config: Value) {
        self.realm().call_async("configure", config).await;
    }
}

/// Any port that is free.
pub(crate) fn options() -> LoginOptions {
    with(LoginOptions::default(), |it| it.ports = vec![0])
}

/// A browser that goes where it is sent.
pub(crate) async fn visit(url: &str) -> Response {
    let browser = Client::builder().no_proxy().build().expect("a client");
    within(browser.get(url).send()).await.expect("a page")
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(WATCHDOG, future).await.expect("it ends")
}

pub(crate) fn refused(outcome: Result<CodexAuth>) -> Error {
    outcome.expect_err("no login")
}
