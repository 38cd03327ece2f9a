//! The arguments of `move`.

use clap::Args;

use super::store::StoreParser;
use crate::StoreKind;

pub(super) const EXAMPLES: &str = "\
Examples:
  codex-auth-sdk move --from file --to keyring
      Both of them are those of $CODEX_HOME. The Codex CLI reads the one that its config.toml names.
  codex-auth-sdk move --from file --to 'postgres://app@db.example.com/codex?login=alice'
      The login of this machine for all programs that use that database.
  codex-auth-sdk move --from 'postgres://app@db.example.com/codex?login=alice' --to file
      And back.

End Codex CLIs that use the old place first: one that refreshes at that moment may lose the login. If the
command is interrupted, run it again on the same machine: it goes on from what is stored, and asks where
nothing shows that it was this move that has emptied the old place.";

#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The store that has the login: file, keyring, encrypted, or the URL of a database with the name of
    /// the login, postgres://USER@HOST/DATABASE?login=NAME
    #[arg(long, value_name = "STORE", value_parser = StoreParser)]
    pub(crate) from: StoreKind,
    /// The store that is to have it, which holds no other login: file, keyring, encrypted, or the URL of
    /// a database with a name for the login
    ///
    /// $PGPASSWORD has the password of databases, and $CODEX_AUTH_STORE_KEY the keys: the first one
    /// encrypts.
    #[arg(long, value_name = "STORE", value_parser = StoreParser)]
    pub(crate) to: StoreKind,
    /// Stores a login that an interrupted move has left beside its new place, although nothing shows that
    /// it was that move that has emptied the old place
    ///
    /// Say so only if no other store and no other machine has the login: two live copies of one are its
    /// end.
    #[arg(long)]
    pub(crate) complete: bool,
    /// Prints a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
