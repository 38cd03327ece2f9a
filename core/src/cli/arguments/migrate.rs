//! The arguments of `migrate`.

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  codex-auth-sdk migrate 'postgres://owner@db.example.com/codex?sslmode=verify-full'
      Before the first login is stored, and after an update. It may be run again.
  codex-auth-sdk --store 'postgres://app@db.example.com/codex' --login alice login --device
      Signs in as the login alice of that database.";

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// The database: postgres://USER@HOST/DATABASE, with a role that may make tables
    ///
    /// $PGPASSWORD has the password, since other users see arguments.
    pub(crate) url: String,
}
