//! A server, a home, and a user in front of a browser.

use codex_auth_sdk::{
    AuthManager, AuthManagerBuilder, CodexAuth, Error, IdTokenValidation, LoginOptions,
    LoginProtocol, Result, TokenEncoding,
};
use codex_auth_tests::chromium::Chromium;
use codex_auth_tests::issuer::{IssuerProcess, Realm};
use codex_auth_tests::oidc_provider;
use codex_auth_tests::options::with;
use codex_auth_tests::watchdog::Watchdog;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Scene {
    server: IssuerProcess,
    home: TempDir,
    pub(crate) browser: Chromium,
    _watchdog: Watchdog,
}

impl Scene {
    /// One where nobody is signed in; none where there is no browser.
    pub(crate) async fn new() -> Option<Self> {
        Some(Self {
            _watchdog: Watchdog::over("signing in"),
            browser: Chromium::start().await?,
            server: oidc_provider::start(),
            home: tempfile::tempdir().expect("a folder"),
        })
    }

    pub(crate) fn realm(&self) -> Realm {
        self.server.realm("")
    }

    pub(crate) fn builder(&self) -> AuthManagerBuilder {
        AuthManager::builder()
            .codex_home(self.home.path())
            .issuer(self.realm().url())
            .client_id(oidc_provider::CLIENT_ID)
            .token_encoding(TokenEncoding::Form)
    }

    pub(crate) async fn manager(&self) -> AuthManager {
        self.builder().build().await.expect("a manager")
    }

    /// The stored record; null where there is none.
    pub(crate) fn record(&self) -> Value {
        let text = std::fs::read_to_string(self.home.path().join("auth.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The user says who they are: whoever they like.
    pub(crate) async fn logs_in(&mut self, name: &str) {
        let fill = format!(
            "document.forms[0].login.value = {};
             document.forms[0].password.value = 'sesame';
             document.querySelector('button').click()",
            json!(name)
        );
        self.browser.on("document.querySelector('[name=password]')", &fill).await;
    }

    /// The user lets the program in.
    pub(crate) async fn agrees(&mut self) {
        self.on_the_consent_page("button").await;
    }

    /// The user does not.
    pub(crate) async fn declines(&mut self) {
        self.on_the_consent_page(".login-help a").await;
    }

    async fn on_the_consent_page(&mut self, what: &str) {
        let click = format!("document.querySelector('{what}').click()");
        self.browser.on("document.querySelector('[name=prompt][value=consent]')", &click).await;
    }

    /// The user types a device's code in, and answers whether it is the right one by a `button`.
    pub(crate) async fn types_in(&mut self, code: &str, button: &str) {
        let fill = format!(
            "document.querySelector('[name=user_code]').value = {};
             document.querySelector('button').click()",
            json!(code)
        );
        self.browser.on("document.getElementById('op.deviceInputForm')", &fill).await;
        let click = format!("document.querySelector('button{button}').click()");
        self.browser.on("document.getElementById('op.deviceConfirmForm')", &click).await;
    }
}

/// What a standard server is asked for.
pub(crate) fn options() -> LoginOptions {
    with(LoginOptions::default(), |it| {
        it.protocol = LoginProtocol::Standard;
        it.id_token_validation = IdTokenValidation::Required;
        it.ports = vec![0];
    })
}

pub(crate) fn refused(outcome: Result<CodexAuth>) -> Error {
    outcome.expect_err("no login")
}
