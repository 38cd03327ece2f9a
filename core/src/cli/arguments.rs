//! The arguments of the command, with the text of its help.

#[cfg(unix)]
mod agent;
mod database;
mod duration;
mod relocation;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

#[cfg(unix)]
pub(super) use self::agent::{Agent, check_window};
pub(super) use self::database::{Logins, Migrate, Rekey};
#[cfg(unix)]
pub(super) use self::duration::duration;
#[cfg(not(unix))]
use self::duration::duration;
pub(super) use self::relocation::Move;
use self::store::StoreParser;
#[cfg(unix)]
pub(super) use self::store::lasting_store;
use crate::option_value::invalid;
use crate::{AuthManager, AuthManagerBuilder, Error, StoreKind};

/// The name of the command, whatever its file is called.
pub(super) const NAME: &str = "codex-auth-sdk";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  the user must sign in: codex-auth-sdk login
  4  try again later";

const EXAMPLES: &str = "\
Examples:
  codex-auth-sdk status
      What the login is, and what is not as it should be.
  { printf 'Authorization: Bearer '; codex-auth-sdk token; } | curl -H @- https://host/path
      A request with a fresh token, which no other user sees in the list of processes.";

const STATUS_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk status
      Reads what is on this machine. It changes nothing, and asks no server.
  codex-auth-sdk status --check
      Also asks the token endpoint for its date, which shows a wrong clock, a proxy that fails and
      an authority that is not trusted. No token is sent.
  codex-auth-sdk status --json | jq '.problems[].what'";

const TOKEN_EXAMPLES: &str = "\
Examples:
  { printf 'Authorization: Bearer '; codex-auth-sdk token; } | curl -H @- https://host/path
      A request whose token no other user sees in the list of processes.
  codex-auth-sdk token --min-valid 30m
      A token for a job of half an hour.
  codex-auth-sdk token --json | jq -r .expires_at";

const LOGIN_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk login
      With the browser of this machine.
  codex-auth-sdk login --device
      With a code to type in on any other device, say for a server without a browser.
  codex-auth-sdk login --api-key-stdin < key.txt
      With an API key. It is never an argument, since other users see those.";

const LOGOUT_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk logout
      Ends the login on this machine, and asks the server to revoke its tokens.
  codex-auth-sdk logout --no-revoke
      Only removes the login from this machine.";

const REFRESH_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk refresh
      After a request was refused with 401 although `status` finds nothing wrong.
  codex-auth-sdk -v refresh
      With each step that is taken.";

const WATCH_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk watch
      A line for each change of the login, until Ctrl-C.
  codex-auth-sdk watch --json | jq -r 'select(.event == \"logged_out\").at'";

const EXPORT_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk export --access-only container/auth.json
      A login for a Codex CLI in a container, which works until the access token ends. The container
      cannot refresh it, so it cannot sign this machine out either.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk completions bash > ~/.local/share/bash-completion/completions/codex-auth-sdk
  codex-auth-sdk completions zsh > \"${fpath[1]}/_codex-auth-sdk\"
  codex-auth-sdk completions fish > ~/.config/fish/completions/codex-auth-sdk.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk man | man -l -
      The page of the command.
  codex-auth-sdk man token | man -l -
      The page of a subcommand.";

/// Looks after the Codex login that all programs of this user share
#[derive(Debug, Parser)]
#[command(name = NAME, bin_name = NAME, version, disable_help_subcommand = true)]
#[command(after_help = format!("{EXIT_CODES}\n\n{EXAMPLES}"))]
pub(super) struct Arguments {
    /// Prints what the command does to stderr; twice: in detail. Warnings are always printed
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(super) verbose: u8,
    #[command(flatten)]
    pub(super) which: Which,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Which login the command is about.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which login")]
pub(super) struct Which {
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
    pub(super) store: Option<StoreKind>,
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

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Says what the login is, and what is not as it should be
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// Prints a fresh access token, which is refreshed first if it soon ends
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(Token),
    /// Signs in, and replaces the stored login once that is done
    #[command(after_help = LOGIN_EXAMPLES)]
    Login(Login),
    /// Removes the stored login, and has the server revoke its tokens
    #[command(after_help = LOGOUT_EXAMPLES)]
    Logout(Logout),
    /// Gets a new access token, even if the old one has not ended
    #[command(after_help = REFRESH_EXAMPLES)]
    Refresh,
    /// Prints what happens to the stored login, until it is stopped
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(Watch),
    /// Writes a copy of the login that cannot be refreshed
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Export),
    /// Keeps the login fresh, and hands out its access token to other programs, until it is stopped
    #[cfg(unix)]
    #[command(after_help = agent::EXAMPLES)]
    Agent(Agent),
    /// Makes or updates the tables for logins in a database
    #[command(after_help = database::MIGRATE_EXAMPLES)]
    Migrate(Migrate),
    /// Lists the logins of a database, without their tokens
    #[command(after_help = database::LOGINS_EXAMPLES)]
    Logins(Logins),
    /// Encrypts the logins of a database by the first key, whichever key they are encrypted by
    #[command(after_help = database::REKEY_EXAMPLES)]
    Rekey(Rekey),
    /// Moves a login from one store to another, so that no two programs ever refresh two copies of it
    #[command(after_help = relocation::EXAMPLES)]
    Move(Move),
    /// Prints the completions of this command for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the manual page of this command
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// The subcommand that the page is about [default: the whole command]
        #[arg(value_parser = subcommand_names())]
        subcommand: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Also asks the authorization server for its time. No token is sent
    #[arg(long)]
    pub(super) check: bool,
    /// Prints a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Token {
    /// Refreshes first if the token ends sooner, say 90s, 5m or 2h [default: 10m, or half its life]
    ///
    /// If no token that lasts so long can be had, one that still works is printed with a warning.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) min_valid: Option<Duration>,
    /// Prints a JSON object, which says when the token ends and whose it is
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Login {
    #[command(flatten)]
    pub(super) way: Way,
    /// Accepts a login of this workspace only; may be given more than once [default: any]
    #[arg(long, value_name = "ID")]
    pub(super) workspace: Vec<String>,
    /// The port of this machine that the browser is sent back to [default: 1455, else 1457]
    #[arg(long)]
    pub(super) port: Option<u16>,
}

/// The way to sign in.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Way {
    /// With the browser of this machine [default]
    #[arg(long)]
    pub(super) browser: bool,
    /// With a code that is typed in on any device
    #[arg(long)]
    pub(super) device: bool,
    /// With an API key, which is read from stdin
    #[arg(long)]
    pub(super) api_key_stdin: bool,
    /// With a personal access token, or the token of an agent, which is read from stdin
    #[arg(long)]
    pub(super) access_token_stdin: bool,
}

#[derive(Debug, Args)]
pub(super) struct Logout {
    /// Leaves the tokens valid: other copies of them still work
    #[arg(long)]
    pub(super) no_revoke: bool,
}

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Prints a JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The file to write: an auth.json with the access token, and without the refresh token, the id
    /// token and the API key
    ///
    /// An earlier copy is replaced, and so is a symbolic link. Any other file stays as it is.
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) access_only: PathBuf,
}

impl Which {
    /// Returns the options of a manager of this login.
    pub(super) fn builder(self) -> AuthManagerBuilder {
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
    pub(super) fn home_alone(self) -> Result<PathBuf, Error> {
        let named = [("--store", self.store.is_some()), ("--login", self.login.is_some())];
        if let Some((option, _)) = named.into_iter().find(|(_, is_named)| *is_named) {
            let problem = "and this subcommand has options of its own for that";
            return Err(invalid(option, "set", problem, "name the stores by --from and --to"));
        }
        self.builder().home()
    }
}

impl Command {
    /// Returns whether SIGHUP has the command read its configuration again, and does not end it.
    pub(super) const fn reloads(&self) -> bool {
        match self {
            #[cfg(unix)]
            Self::Agent(Agent { config: Some(_), .. }) => true,
            _ => false,
        }
    }

    /// Returns whether a program reads the output.
    pub(super) const fn is_json(&self) -> bool {
        matches!(
            self,
            Self::Status(Status { json: true, .. })
                | Self::Token(Token { json: true, .. })
                | Self::Watch(Watch { json: true })
                | Self::Logins(Logins { json: true, .. })
                | Self::Move(Move { json: true, .. })
        )
    }
}

/// Returns the names of the subcommands, in the order of the help.
fn subcommand_names() -> PossibleValuesParser {
    PossibleValuesParser::new([
        "status",
        "token",
        "login",
        "logout",
        "refresh",
        "watch",
        "export",
        #[cfg(unix)]
        "agent",
        "migrate",
        "logins",
        "rekey",
        "move",
        "completions",
        "man",
    ])
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::builder::{PossibleValue, TypedValueParser as _};

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn each_subcommand_has_a_page_and_an_example() {
        let command = Arguments::command();
        let names: Vec<_> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
        let listed = subcommand_names();
        let listed: Vec<_> = listed.possible_values().into_iter().flatten().collect();
        assert_eq!(names, listed.iter().map(PossibleValue::get_name).collect::<Vec<_>>());
        for subcommand in command.get_subcommands() {
            let example = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            let call = format!("codex-auth-sdk {}", subcommand.get_name());
            assert!(example.contains(&call) || example.contains("-v refresh"), "{example}");
        }
    }
}
