//! The arguments that all subcommands have.

use std::path::PathBuf;

use clap::Args;

use super::store::StoreParser;
use crate::option_value::invalid;
use crate::{AuthManager, AuthManagerBuilder, Error, StoreKind};

/// Which login the command is about.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which login")]
pub(crate) struct Which {
    /// The folder of the login [default: $CODEX_HOME, else ~/.codex]
    #[arg(long, global = true, value_name = "DIR")]
    codex_home: Option<PathBuf>,
    /// The store of the login: codex, file, keyring, auto, encrypted, the URL of a database, or an agent:
    /// agent, agent:unix:/path, agent:http://127.0.0.1:PORT, or with #NAME at the end [default: codex,
    /// the store that the Codex CLI uses]
    ///
    /// The URL is postgres://USER@HOST/DATABASE. $PGPASSWORD has its password, since other users see
    /// arguments, and $CODEX_AUTH_STORE_KEY the key that opens logins there.
    #[arg(long, global = true, value_name = "STORE", value_parser = StoreParser)]
    pub(crate) store: Option<StoreKind>,
    /// The name of the login in a database
    #[arg(long, global = true, value_name = "NAME")]
    login: Option<String>,
    /// The only workspace whose login is used [default: any]
    #[arg(long, global = true, value_name = "ID")]
    account_id: Option<String>,
    /// The authorization server [default: https://auth.openai.com]
    #[arg(long, global = true, value_name = "URL")]
    issuer: Option<String>,
    /// The OAuth client of new logins, and of those that name none [default: the Codex CLI's]
    #[arg(long, global = true, value_name = "ID")]
    client_id: Option<String>,
}

impl Which {
    /// Returns the options of a manager of this login.
    pub(crate) fn builder(self) -> AuthManagerBuilder {
        let Self { codex_home, store, login, account_id, issuer, client_id } = self;
        let mut builder = AuthManager::builder().store(store.unwrap_or_default());
        if let Some(home) = codex_home {
            builder = builder.codex_home(home);
        }
        if let Some(name) = login {
            builder = builder.login(name);
        }
        if let Some(id) = account_id {
            builder = builder.account_id(id);
        }
        if let Some(url) = issuer {
            builder = builder.issuer(url);
        }
        if let Some(id) = client_id {
            builder = builder.client_id(id);
        }
        builder
    }

    /// Returns the folder of the login, for a subcommand that has options of its own for the store.
    ///
    /// # Errors
    ///
    /// `invalid_option` if another store or login is named here, or the folder makes no sense.
    pub(crate) fn home_alone(self) -> Result<PathBuf, Error> {
        let named = [("--store", self.store.is_some()), ("--login", self.login.is_some())];
        if let Some((option, _)) = named.into_iter().find(|(_, is_named)| *is_named) {
            let problem = "and this subcommand has options of its own for that";
            return Err(invalid(option, "set", problem, "name the stores by --from and --to"));
        }
        self.builder().home()
    }
}
