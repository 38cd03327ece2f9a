//! The names under which the Codex CLI keeps things in the keyring.

use std::fmt;
use std::path::Path;

use ring::digest;

/// One item of the keyring: a service and an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyringItem {
    service: &'static str,
    account: String,
}

impl KeyringItem {
    /// The login of the folder `home`, which must be resolved to its real path.
    ///
    /// ```
    /// let item = codex_auth_sdk::storage::KeyringItem::login("/home/user/.codex".as_ref());
    /// assert_eq!(item.to_string(), "\"Codex Auth\", cli|59448a44901f7128");
    /// ```
    pub fn login(home: &Path) -> Self {
        Self::of_home("Codex Auth", "cli", home)
    }

    /// The passphrase of the encrypted files in `home`.
    pub fn passphrase(home: &Path) -> Self {
        Self::of_home("codex", "secrets", home)
    }

    fn of_home(service: &'static str, prefix: &str, home: &Path) -> Self {
        let digest = digest::digest(&digest::SHA256, home.to_string_lossy().as_bytes());
        let hex: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { service, account: format!("{prefix}|{hex}") }
    }

    /// The service, such as `Codex Auth`.
    pub const fn service(&self) -> &'static str {
        self.service
    }

    /// The account: a prefix and the first half of a hash of the folder.
    pub fn account(&self) -> &str {
        &self.account
    }
}

impl fmt::Display for KeyringItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}", self.service, self.account)
    }
}
