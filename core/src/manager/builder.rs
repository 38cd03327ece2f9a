//! Creates a manager from options, the environment and defaults.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::auth_manager::AuthManager;
use super::named::Named;
use super::parts::Parts;
use super::server_options::ServerOptions;
use super::store_choice::{LoginChoice, StoreChoice, StoreOrigin};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::option_value::invalid;
use crate::options::{Options, RefreshMode};
use crate::origin::AllowedOrigins;
use crate::secret::Secret;
use crate::state::State;
use crate::storage::AuthStorage;
use crate::storage::home::Home;
use crate::storage::store_kind::StoreKind;
use crate::token_endpoint::{HttpTokenEndpoint, TokenEncoding, TokenEndpoint};
use crate::variable;

/// The options of an [`AuthManager`].
///
/// An option that is not set comes from the environment variable that the Codex CLI reads, else
/// from the default. An empty environment variable counts as not set. An empty option, and every
/// other value that makes no sense, is an error with the code `invalid_option`.
#[derive(Debug, Default)]
pub struct AuthManagerBuilder {
    codex_home: Option<PathBuf>,
    store: StoreKind,
    login: LoginChoice,
    storage: Option<Arc<dyn AuthStorage>>,
    endpoint: Option<Arc<dyn TokenEndpoint>>,
    environment: Environment,
    server: ServerOptions,
    originator: Option<String>,
    allowed_origins: Vec<String>,
    enable_codex_api_key_env: bool,
    options: Options,
}

impl AuthManager {
    /// Returns the options of a new manager, all at their defaults.
    pub fn builder() -> AuthManagerBuilder {
        AuthManagerBuilder::default()
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $($field:ident).+;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$($field).+ = $name.into();
            self
        }
    )*};
}

/// Setters whose argument may be anything that becomes the type of the option.
macro_rules! text_setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $($field:ident).+;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: impl Into<$type>) -> Self {
            self.$($field).+ = Some($name.into());
            self
        }
    )*};
}

impl AuthManagerBuilder {
    text_setters! {
        /// Sets the folder of the login. Default: `$CODEX_HOME`, else `~/.codex`. A folder that is
        /// named must exist.
        codex_home: PathBuf => codex_home;
        /// Sets the name of the login in a store that has many. Default: what the URL of the store
        /// names.
        login: String => login.login;
        /// Sets the token endpoint for refreshes, an `https` URL, or `http` on loopback. Default:
        /// `$CODEX_REFRESH_TOKEN_URL_OVERRIDE`, else `/oauth/token` of the issuer.
        token_url: String => server.token_url;
        /// Sets the revocation endpoint (RFC 7009). Default: `$CODEX_REVOKE_TOKEN_URL_OVERRIDE`,
        /// else `/oauth/revoke` beside the token endpoint.
        revoke_url: String => server.revoke_url;
        /// Sets the authorization server. Default: `https://auth.openai.com`.
        issuer: String => server.issuer;
        /// Sets the OAuth client of new logins, and of stored logins whose record names none.
        /// Default: `$CODEX_APP_SERVER_LOGIN_CLIENT_ID`, else the client of the Codex CLI.
        client_id: String => server.client_id;
        /// Sets the name of the calling program, which requests carry in the header `originator`.
        /// Default: `$CODEX_INTERNAL_ORIGINATOR_OVERRIDE`, else `codex_auth_sdk`.
        originator: String => originator;
        /// Sets the `User-Agent` of requests to the authorization server. Default: the originator.
        user_agent: String => server.user_agent;
        /// Sets the id of the only workspace whose login this manager hands out. Default: any.
        account_id: String => options.account_id;
    }

    setters! {
        /// Sets the kind of store. Default: [`StoreKind::Codex`], the store that the Codex CLI
        /// uses. [`StoreKind::Encrypted`] needs this crate's feature `encrypted`, and
        /// [`StoreKind::Postgres`] the feature `postgres`.
        store: StoreKind => store;
        /// Sets a store, which is used instead of one of the kind [`store`](Self::store).
        storage: Arc<dyn AuthStorage> => storage;
        /// Sets what redeems and revokes tokens, instead of requests to the authorization server. A
        /// sign-in still sends such requests.
        token_endpoint: Arc<dyn TokenEndpoint> => endpoint;
        /// Sets the source of time, tasks and chance, for simulations.
        environment: Environment => environment;
        /// Sets whether `$CODEX_API_KEY`, if it is set, replaces the stored login. This works with
        /// [`StoreKind::Codex`] only. Default: false.
        enable_codex_api_key_env: bool => enable_codex_api_key_env;
        /// Sets the encoding of token requests. Default: JSON.
        token_encoding: TokenEncoding => server.token_encoding;
        /// Sets further origins to which HTTP integrations may send the credential: `https://host`,
        /// `https://host:port`, or `http` on loopback. The origin of the ChatGPT backend for a
        /// ChatGPT login, and that of the OpenAI API for an API key, are always allowed. The caller
        /// of [`CodexAuth::headers`](crate::CodexAuth::headers) decides where it sends them.
        allowed_origins: Vec<String> => allowed_origins;
        /// Sets whether this manager redeems refresh tokens. Default: [`RefreshMode::Auto`].
        refresh: RefreshMode => options.refresh;
        /// Sets how long before its expiry an access token is refreshed, at most 366 days. Default:
        /// 10 minutes, or half the token's lifetime if that is less. Half the lifetime also holds
        /// for a window that is not shorter than the lifetime.
        refresh_window: Duration => options.refresh_window;
        /// Sets how long the manager waits, after the server has rejected a refresh token, for the
        /// save of another program that may have redeemed the token, or for the program that renews
        /// a login which this manager may not refresh; at most 24 hours. Default: 5 s.
        winner_wait: Duration => options.winner_wait;
        /// Sets how long one refresh may take once it has the refresh lock, from 1 ms to 24 hours.
        /// A save that has begun goes on, and a refusal is doubted for
        /// [`winner_wait`](Self::winner_wait) also after that. Default: 45 s.
        refresh_deadline: Duration => options.refresh_deadline;
        /// Sets how long one request to the token endpoint may take, from 1 ms to 24 hours.
        /// Default: 30 s.
        request_timeout: Duration => options.request_timeout;
        /// Sets how long a refresh waits for the refresh lock while another process holds it, at
        /// most 24 hours. It must exceed [`refresh_deadline`](Self::refresh_deadline). Default: 60
        /// s.
        lock_timeout: Duration => options.lock_timeout;
    }

    /// Sets the proxy for `https` requests to the authorization server, by HTTP or SOCKS5, such as
    /// `http://user:password@host:port` or `socks5h://host:port`. Default: the proxy that the
    /// environment or the system names (`$HTTPS_PROXY`, `$ALL_PROXY`), except for hosts in
    /// `$NO_PROXY` and on loopback; one that cannot be used is an error. A proxy that is set here
    /// is used for all hosts.
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<String>) -> Self {
        self.server.proxy = Some(Secret::new(proxy));
        self
    }

    /// Sets the keys that encrypt the login in a database, each the Base64 of 32 bytes, separated by
    /// commas: the first one encrypts, and each of them decrypts. The word `plaintext` in the place of
    /// a key has logins stored as they are, or read where they were. Default:
    /// `$CODEX_AUTH_STORE_KEY`; without a key such a store is an error.
    #[must_use]
    pub fn store_key(mut self, store_key: Secret) -> Self {
        self.login.store_key = Some(store_key);
        self
    }

    /// Creates the manager and reads the store, however long that takes.
    ///
    /// # Errors
    ///
    /// `invalid_option`, `store_corrupt`, `store_unavailable`, `keyring_unavailable`,
    /// `keyring_locked`. A store without a login is no error.
    pub async fn build(self) -> Result<AuthManager> {
        let manager = self.assemble()?;
        manager.parts.state.reload().await?;
        manager.log_description();
        Ok(manager)
    }

    /// Creates the manager and reads the store once, without waiting. It is for constructors that
    /// must not block, and works with stores that can be read without waiting: a file, a store in
    /// memory and an environment variable.
    ///
    /// # Errors
    ///
    /// `invalid_option`, `store_corrupt`; `store_unavailable` also if the store cannot be read
    /// without waiting.
    pub fn build_now(self) -> Result<AuthManager> {
        let manager = self.assemble()?;
        let state = &manager.parts.state;
        let seen = state.current.seen();
        let loaded = state.storage.load_now().unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::StoreUnavailable,
                format!(
                    "{} cannot be read without waiting: it is not a file, or on a network's file \
                     system, or another program is writing it, or it holds no login; open the \
                     manager asynchronously, which waits and names the reason",
                    state.storage.location()
                ),
            ))
        })?;
        // No other code knows this manager yet, so no other snapshot can have been published.
        drop(state.adopt(&seen, &loaded));
        manager.log_description();
        Ok(manager)
    }

    /// Creates the manager and does not read the store, for a program that signs in or out over a file
    /// that holds no login, where [`build`](Self::build) fails with `store_corrupt`. The manager has
    /// no snapshot until it reads or stores a login.
    ///
    /// # Errors
    ///
    /// `invalid_option`.
    pub fn build_unread(self) -> Result<AuthManager> {
        let manager = self.assemble()?;
        manager.log_description();
        Ok(manager)
    }

    fn assemble(mut self) -> Result<AuthManager> {
        self.options.check()?;
        let override_ = "CODEX_INTERNAL_ORIGINATOR_OVERRIDE";
        if let Some(originator) = Named::find("originator", self.originator.as_ref(), override_)? {
            self.options.originator = originator.text()?.into();
        }
        self.options.allowed_origins = AllowedOrigins::with(&self.allowed_origins)?;
        let is_of_many = self.storage.is_none() && matches!(self.store, StoreKind::Postgres(_));
        self.login.check_for(is_of_many)?;
        let (storage, origin) = match self.storage.take() {
            Some(storage) => (storage, StoreOrigin::CUSTOM),
            None => self.open_store()?,
        };
        let config = self.server.endpoint_config(&self.options.originator)?;
        let server = self.server.authorization_server(config.clone())?;
        let endpoint = self
            .endpoint
            .take()
            .unwrap_or_else(|| Arc::new(HttpTokenEndpoint::new(config, self.environment.clone())));
        let state = Arc::new(State::new(self.options, storage, self.environment));
        Ok(AuthManager { parts: Arc::new(Parts::new(&state, origin, &endpoint, server)) })
    }

    fn open_store(&self) -> Result<(Arc<dyn AuthStorage>, StoreOrigin)> {
        let is_elsewhere = matches!(self.store, StoreKind::Agent(_) | StoreKind::Postgres(_));
        let home = if is_elsewhere { PathBuf::new() } else { self.home()? };
        let choice = StoreChoice {
            home: &home,
            kind: &self.store,
            login: &self.login,
            request_timeout: self.options.request_timeout,
            enable_codex_api_key_env: self.enable_codex_api_key_env,
            environment: &self.environment,
        };
        choice.open()
    }

    /// Returns the folder of the login.
    ///
    /// # Errors
    ///
    /// `invalid_option` if it is not known, or is no folder.
    pub(crate) fn home(&self) -> Result<PathBuf> {
        let named = self.codex_home.clone().map(|home| ("codex_home", home));
        let set = || variable::path("CODEX_HOME").map(|home| ("$CODEX_HOME", home));
        let Some((option, home)) = named.or_else(set) else {
            let user = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
            let problem = "and the user's home folder is not known";
            let unknown = || invalid("codex_home", "not set", problem, "set it");
            return Ok(user.ok_or_else(unknown)?.join(".codex"));
        };
        if !Home::of(&home, self.environment.clone()).is_there()? {
            let (problem, fix) = match has_tilde(&home) {
                true => ("whose ~ only a shell replaces", "name the path of the user's folder"),
                false => ("which is not a folder", "create it, or name another"),
            };
            return Err(invalid(option, format_args!("{home:?}"), problem, fix));
        }
        // Not resolved: a link on the way may lead elsewhere tomorrow.
        Ok(home)
    }
}

/// Returns whether a shell would take `path` for one in a user's folder.
fn has_tilde(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(b"~")
}

#[cfg(all(test, feature = "encrypted"))]
mod tests {
    use super::*;
    use crate::description::ChosenBy;
    use crate::storage::EphemeralStorage;

    #[test]
    fn the_store_is_the_one_named_else_the_clis() {
        let home = tempfile::tempdir().expect("a folder");
        let location = |config: &str, kind| {
            std::fs::write(home.path().join("config.toml"), config).expect("written");
            let builder = AuthManager::builder().codex_home(home.path()).store(kind);
            builder.open_store().expect("a store").0.location()
        };
        let switch = |is_on| format!("[features]\nsecret_auth_storage = {is_on}");
        let keyring = format!("cli_auth_credentials_store = \"keyring\"\n{}", switch(true));
        let auto = format!("cli_auth_credentials_store = \"auto\"\n{}", switch(true));
        for (config, kind, expected) in [
            (&switch(true), StoreKind::Codex, "auth.json"),
            (&keyring, StoreKind::Codex, "codex_auth.age"),
            (&auto, StoreKind::Codex, "codex_auth.age or"),
            (&keyring, StoreKind::Keyring, "the keyring's item"),
            (&keyring.replace("true", "false"), StoreKind::Codex, "the keyring's item"),
            (&auto.replace("true", "false"), StoreKind::Codex, "the keyring's item"),
            (&switch(false), StoreKind::Encrypted, "codex_auth.age"),
        ] {
            let found = location(config, kind);
            assert!(found.contains(expected), "{found} for {config}");
        }
    }

    #[test]
    fn a_description_says_what_has_chosen_the_store() {
        let home = tempfile::tempdir().expect("a folder");
        let origin = |kind| {
            let builder = AuthManager::builder().codex_home(home.path()).store(kind);
            let origin = builder.open_store().expect("a store").1;
            (origin.kind, origin.by)
        };
        assert_eq!(origin(StoreKind::Codex), ("file", ChosenBy::Default));
        assert_eq!(origin(StoreKind::File), ("file", ChosenBy::Option));
        let configure = |config: &str| std::fs::write(home.path().join("config.toml"), config);
        configure("cli_auth_credentials_store = \"file\"").expect("written");
        assert_eq!(origin(StoreKind::Codex), ("file", ChosenBy::Config));
        let encrypted = "cli_auth_credentials_store = \"keyring\"\n\
                         features.secret_auth_storage = true";
        configure(encrypted).expect("written");
        assert_eq!(origin(StoreKind::Codex), ("encrypted", ChosenBy::Config));
        EphemeralStorage::shared(home.path()).replace(Some(crate::storage::AuthDotJson::default()));
        assert_eq!(origin(StoreKind::Codex), ("ephemeral", ChosenBy::Memory));
    }

    #[test]
    fn a_login_in_memory_takes_the_place_of_the_configured_store() {
        let home = tempfile::tempdir().expect("a folder");
        let location = |kind| {
            let builder = AuthManager::builder().codex_home(home.path()).store(kind);
            builder.open_store().expect("a store").0.location()
        };
        assert!(location(StoreKind::Codex).contains("auth.json"));
        let home = AuthManager::builder().codex_home(home.path()).home().expect("a home");
        let in_memory = EphemeralStorage::shared(&home);
        in_memory.replace(Some(crate::storage::AuthDotJson::default()));
        assert_eq!(location(StoreKind::Codex), in_memory.location());
        assert!(location(StoreKind::File).contains("auth.json"));
    }
}
