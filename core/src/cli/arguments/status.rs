//! The arguments of `status`.

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  codex-auth-sdk status
      Reads what is on this machine. It changes nothing, and asks no server.
  codex-auth-sdk status --check
      Also asks the token endpoint for its date, which shows a wrong clock, a proxy that fails and
      an authority that is not trusted. No token is sent.
  codex-auth-sdk status --json | jq '.problems[].what'";

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Also asks the authorization server for its time. No token is sent
    #[arg(long)]
    pub(crate) check: bool,
    /// Prints a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
