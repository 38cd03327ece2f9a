//! The arguments of the command, with the text of its help.

#[cfg(unix)]
mod agent;
mod database;
mod duration;
mod export;
mod relocation;
mod sign_in;
mod status;
mod store;
mod token;
mod watch;
mod which;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Parser, Subcommand};
use clap_complete::Shell;

#[cfg(unix)]
pub(super) use self::agent::{Agent, check_window};
pub(super) use self::database::{Logins, Migrate, Rekey};
#[cfg(unix)]
pub(super) use self::duration::duration;
pub(super) use self::export::Export;
pub(super) use self::relocation::Move;
pub(super) use self::sign_in::{Login, Logout};
pub(super) use self::status::Status;
#[cfg(unix)]
pub(super) use self::store::lasting_store;
pub(super) use self::token::Token;
pub(super) use self::watch::Watch;
pub(super) use self::which::Which;

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

const REFRESH_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk refresh
      After a request was refused with 401 although `status` finds nothing wrong.
  codex-auth-sdk -v refresh
      With each step that is taken.";

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

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Says what the login is, and what is not as it should be
    #[command(after_help = status::EXAMPLES)]
    Status(Status),
    /// Prints a fresh access token, which is refreshed first if it soon ends
    #[command(after_help = token::EXAMPLES)]
    Token(Token),
    /// Signs in, and replaces the stored login once that is done
    #[command(after_help = sign_in::LOGIN_EXAMPLES)]
    Login(Login),
    /// Removes the stored login, and has the server revoke its tokens
    #[command(after_help = sign_in::LOGOUT_EXAMPLES)]
    Logout(Logout),
    /// Gets a new access token, even if the old one has not ended
    #[command(after_help = REFRESH_EXAMPLES)]
    Refresh,
    /// Prints what happens to the stored login, until it is stopped
    #[command(after_help = watch::EXAMPLES)]
    Watch(Watch),
    /// Writes a copy of the login that cannot be refreshed
    #[command(after_help = export::EXAMPLES)]
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
