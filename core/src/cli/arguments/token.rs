//! The arguments of `token`.

use std::time::Duration;

use clap::Args;

use super::duration::duration;

pub(super) const EXAMPLES: &str = "\
Examples:
  { printf 'Authorization: Bearer '; codex-auth-sdk token; } | curl -H @- https://host/path
      A request whose token no other user sees in the list of processes.
  codex-auth-sdk token --min-valid 30m
      A token for a job of half an hour.
  codex-auth-sdk token --json | jq -r .expires_at";

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Refreshes first if the token ends sooner, say 90s, 5m or 2h [default: 10m, or half its life]
    ///
    /// If no token that lasts so long can be had, one that still works is printed with a warning.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) min_valid: Option<Duration>,
    /// Prints a JSON object, which says when the token ends and whose it is
    #[arg(long)]
    pub(crate) json: bool,
}
