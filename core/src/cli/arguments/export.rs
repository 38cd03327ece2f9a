//! The arguments of `export`.

use std::path::PathBuf;

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  codex-auth-sdk export --access-only container/auth.json
      A login for a Codex CLI in a container, which works until the access token ends. The container
      cannot refresh it, so it cannot sign this machine out either.";

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file to write: an auth.json with the access token, and without the refresh token, the id
    /// token and the API key
    ///
    /// An earlier copy is replaced, and so is a symbolic link. Any other file stays as it is.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) access_only: PathBuf,
}
