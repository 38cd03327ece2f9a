//! The methods of a manager that replace the stored login, or remove it.

use super::auth_manager::AuthManager;
use crate::error::Result;
use crate::login::{
    BrowserLogin, DeviceLogin, LoginOptions, LogoutOptions, LogoutOutcome, access_token_record,
    api_key_record,
};
use crate::secret::Secret;
use crate::snapshot::CodexAuth;

/// Signing in and out.
impl AuthManager {
    /// Starts a sign-in with a browser: an authorization code with PKCE (RFC 8252, RFC 7636).
    ///
    /// The user opens the [`authorization_url`](BrowserLogin::authorization_url) of the returned
    /// value, whose [`wait`](BrowserLogin::wait) ends once the login is stored. The new login
    /// replaces the stored one when the sign-in is complete; a sign-in that fails or is cancelled
    /// changes nothing. A refresh that is in flight in any process does not undo it. The end of the
    /// process ends the sign-in, and a forked child does not continue it; one that is manual and in
    /// PostgreSQL can be [resumed](Self::resume_login_with_browser).
    ///
    /// # Errors
    ///
    /// `invalid_option`; `login_port_busy`; `login_failed` or `login_transient` if the endpoints
    /// that the issuer publishes cannot be read; `store_read_only`, `store_corrupt`,
    /// `store_unavailable`, `lock_timeout`, `keyring_unavailable`, `keyring_locked` or
    /// `keyring_too_long` if the store could not save a login.
    ///
    /// ```no_run
    /// use codex_auth_sdk::{AuthManager, LoginOptions};
    ///
    /// # async fn example() -> codex_auth_sdk::Result<()> {
    /// let manager = AuthManager::builder().build().await?;
    /// let login = manager.login_with_browser(LoginOptions::default()).await?;
    /// println!("Open {}", login.authorization_url());
    /// println!("Signed in as {:?}", login.wait().await?.email());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn login_with_browser(&self, options: LoginOptions) -> Result<BrowserLogin> {
        BrowserLogin::begin(&self.parts.sign_in, options).await
    }

    /// Goes on with the manual sign-in with a browser that has this [`id`](BrowserLogin::id), which
    /// another manager of this login has begun, in this process or another one that may have ended. Its
    /// [`complete`](BrowserLogin::complete) finishes it, in one process only. The options are those that
    /// it was begun with.
    ///
    /// # Errors
    ///
    /// `not_supported_by_store` if the store keeps no sign-ins; `login_cancelled` if the sign-in has
    /// ended, or was begun for another login; `login_failed` if it is no such sign-in;
    /// `store_unavailable` if its state is not what was stored; those of
    /// [`login_with_browser`](Self::login_with_browser) but for `login_port_busy`.
    pub async fn resume_login_with_browser(&self, id: &str) -> Result<BrowserLogin> {
        BrowserLogin::resume(&self.parts.sign_in, id).await
    }

    /// Starts a sign-in with a device code (RFC 8628): the user types the code in on any device.
    ///
    /// The user opens the [`verification_uri`](DeviceLogin::verification_uri) of the returned value
    /// and types its [`user_code`](DeviceLogin::user_code); its [`wait`](DeviceLogin::wait) ends
    /// once the login is stored. The new login replaces the stored one when the sign-in is
    /// complete; a sign-in that fails or is cancelled changes nothing. Each time the server answers
    /// that the user has not typed the code in yet, the manager sends
    /// [`Event::LoginPending`](crate::Event::LoginPending).
    ///
    /// # Errors
    ///
    /// `login_not_supported` if the server has no device codes; those of
    /// [`login_with_browser`](Self::login_with_browser) but for `login_port_busy`.
    pub async fn login_with_device_code(&self, options: LoginOptions) -> Result<DeviceLogin> {
        DeviceLogin::begin(&self.parts.sign_in, options).await
    }

    /// Goes on with the sign-in with a device code that has this [`id`](DeviceLogin::id), which another
    /// manager of this login has begun, in this process or another one that may have ended. Any number
    /// of processes may wait for the user: together they ask the server as often as one, and one of them
    /// stores the login.
    ///
    /// # Errors
    ///
    /// Those of [`resume_login_with_browser`](Self::resume_login_with_browser).
    pub async fn resume_login_with_device_code(&self, id: &str) -> Result<DeviceLogin> {
        DeviceLogin::resume(&self.parts.sign_in, id).await
    }

    /// Stores an API key as the login and returns its snapshot. No server checks the key.
    ///
    /// # Errors
    ///
    /// `login_invalid_credential` if the text cannot be an API key; `login_workspace_not_allowed`
    /// if the manager has the option [`account_id`](crate::AuthManagerBuilder::account_id);
    /// `save_failed`.
    pub async fn login_with_api_key(&self, api_key: &Secret) -> Result<CodexAuth> {
        self.parts.sign_in.store(api_key_record(api_key)?, &LoginOptions::default()).await
    }

    /// Stores a personal access token, or the token of an agent, as the login and returns its
    /// snapshot. No server checks the token.
    ///
    /// # Errors
    ///
    /// Those of [`login_with_api_key`](Self::login_with_api_key).
    pub async fn login_with_access_token(&self, access_token: &Secret) -> Result<CodexAuth> {
        self.parts.sign_in.store(access_token_record(access_token)?, &LoginOptions::default()).await
    }

    /// Returns by how much the clock of this machine is ahead of the authorization server's; none if
    /// the server does not say what time it is. No token is sent.
    ///
    /// # Errors
    ///
    /// `login_transient` if the server does not answer.
    #[cfg(feature = "cli")]
    pub(crate) async fn clock_ahead(&self) -> Result<Option<chrono::TimeDelta>> {
        self.parts.sign_in.clock_ahead().await
    }

    /// Removes the login from the store.
    ///
    /// By default the manager first asks the authorization server to revoke the tokens, which may
    /// end other sessions of the account; the login is removed even if that fails. A refresh that
    /// is in flight in any process does not bring the login back.
    ///
    /// # Errors
    ///
    /// `identity_mismatch` if the store now holds another account's login, which stays unless the
    /// options say otherwise; `store_read_only`, `store_corrupt`, `store_unavailable`,
    /// `lock_timeout`, `keyring_unavailable` or `keyring_locked` if the store cannot be changed.
    pub async fn logout(&self, options: LogoutOptions) -> Result<LogoutOutcome> {
        self.parts.sign_out.run(options).await
    }
}
