//! The arguments of what is done with all logins of a database.

use clap::Args;

pub(super) const MIGRATE_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk migrate 'postgres://owner@db.example.com/codex?sslmode=verify-full'
      Before the first login is stored, and after an update. It may be run again.
  codex-auth-sdk --store 'postgres://app@db.example.com/codex' --login alice login --device
      Signs in as the login alice of that database.";

pub(super) const LOGINS_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk logins 'postgres://app@db.example.com/codex?sslmode=verify-full'
      A line for each login: whose it is, when its token ends, and when it was stored.
  codex-auth-sdk logins --json 'postgres://app@db.example.com/codex' | jq -r 'select(.error).name'
      The logins that no key opens.";

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// The database: postgres://USER@HOST/DATABASE, with a role that may make tables
    ///
    /// $PGPASSWORD has the password, since other users see arguments.
    pub(crate) url: String,
}

#[derive(Debug, Args)]
pub(crate) struct Logins {
    /// The database: postgres://USER@HOST/DATABASE. It does not matter which login it names
    ///
    /// $PGPASSWORD has the password, since other users see arguments, and $CODEX_AUTH_STORE_KEY the keys
    /// that open logins.
    pub(crate) url: String,
    /// Prints a JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}
