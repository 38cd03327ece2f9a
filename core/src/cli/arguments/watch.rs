//! The arguments of `watch`.

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  codex-auth-sdk watch
      A line for each change of the login, until Ctrl-C.
  codex-auth-sdk watch --json | jq -r 'select(.event == \"logged_out\").at'";

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Prints a JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}
