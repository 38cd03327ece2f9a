//! The arguments of `login` and `logout`.

use clap::Args;

pub(super) const LOGIN_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk login
      With the browser of this machine.
  codex-auth-sdk login --device
      With a code to type in on any other device, say for a server without a browser.
  codex-auth-sdk login --api-key-stdin < key.txt
      With an API key. It is never an argument, since other users see those.";

pub(super) const LOGOUT_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk logout
      Ends the login on this machine, and asks the server to revoke its tokens.
  codex-auth-sdk logout --no-revoke
      Only removes the login from this machine.";

#[derive(Debug, Args)]
pub(crate) struct Login {
    #[command(flatten)]
    pub(crate) way: Way,
    /// Accepts a login of this workspace only; may be given more than once [default: any]
    #[arg(long, value_name = "ID")]
    pub(crate) workspace: Vec<String>,
    /// The port of this machine that the browser is sent back to [default: 1455, else 1457]
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

/// The way to sign in.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Way {
    /// With the browser of this machine [default]
    #[arg(long)]
    pub(crate) browser: bool,
    /// With a code that is typed in on any device
    #[arg(long)]
    pub(crate) device: bool,
    /// With an API key, which is read from stdin
    #[arg(long)]
    pub(crate) api_key_stdin: bool,
    /// With a personal access token, or the token of an agent, which is read from stdin
    #[arg(long)]
    pub(crate) access_token_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Leaves the tokens valid: other copies of them still work
    #[arg(long)]
    pub(crate) no_revoke: bool,
}
