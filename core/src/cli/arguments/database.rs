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

pub(super) const REKEY_EXAMPLES: &str = "\
Examples:
  codex-auth-sdk rekey 'postgres://app@db.example.com/codex?sslmode=verify-full'
      Once all programs have the new key as their first one, and before the old key goes: with both of
      them, the new one first.

It may be run again at any time, and is to be until it exits with 0: 4 says that logins which are
being refreshed are left, 1 that no key opens some, which are named.";

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

#[derive(Debug, Args)]
pub(crate) struct Rekey {
    /// The database: postgres://USER@HOST/DATABASE. It does not matter which login it names
    ///
    /// $PGPASSWORD has the password, since other users see arguments, and $CODEX_AUTH_STORE_KEY the
    /// keys: the first one encrypts, and each of them decrypts.
    pub(crate) url: String,
}
