//! What is in the encrypted file: a map of secrets, of which the login is one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The newest version of the map that the Codex CLI writes; 0 is the same.
const VERSION: u64 = 1;

/// The name of the login.
const LOGIN: &str = "global/CODEX_AUTH";

/// The map. Entries of other programs are kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Contents {
    version: u64,
    secrets: BTreeMap<String, Secret>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

// What others keep there is as secret as the login.
impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Default for Contents {
    fn default() -> Self {
        Self { version: VERSION, secrets: BTreeMap::new(), other: BTreeMap::new() }
    }
}

impl Contents {
    /// Reads the map; else why it is none, in words without secrets.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let contents: Self = serde_json::from_slice(json)
            .map_err(|_| "what is in it is no map of secrets".to_owned())?;
        if contents.version > VERSION {
            return Err(format!("its version is {}, which is newer than this", contents.version));
        }
        Ok(Self { version: VERSION, ..contents })
    }

    pub(super) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let mut json = Zeroizing::new(Vec::with_capacity(16 * 1024));
        serde_json::to_writer(&mut *json, self).expect("a map of texts is always valid JSON");
        json
    }

    /// The text of the login.
    pub(super) fn login(&self) -> Option<&Secret> {
        self.secrets.get(LOGIN)
    }

    /// The same map with another login, or none.
    pub(super) fn with_login(&self, login: Option<Secret>) -> Self {
        let mut contents = self.clone();
        match login {
            Some(login) => contents.secrets.insert(LOGIN.to_owned(), login),
            None => contents.secrets.remove(LOGIN),
        };
        contents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_not_ours_and_refuses_what_is_newer() {
        let json = br#"{"version":0,"secrets":{"global/OTHER":"kept"},"from_the_future":[1.5]}"#;
        let contents = Contents::parse(json).expect("version 0 is 1");
        let written = contents.with_login(Some(Secret::new("{}"))).to_json();
        assert_eq!(
            std::str::from_utf8(&written).expect("text"),
            r#"{"version":1,"secrets":{"global/CODEX_AUTH":"{}","global/OTHER":"kept"},"from_the_future":[1.5]}"#
        );
        for (bad, why) in [(r#"{"version":2,"secrets":{}}"#, "newer"), ("[]", "no map")] {
            let error = Contents::parse(bad.as_bytes()).expect_err("refused");
            assert!(error.contains(why), "{error}");
        }
    }
}
