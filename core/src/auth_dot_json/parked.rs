//! A login that is being moved to another store, and waits beside that store until its old place is
//! empty. It is marked, so that nothing takes it for a login of its own.

#[cfg(feature = "cli")]
use serde::{Deserialize, Serialize};

use super::AuthDotJson;
#[cfg(feature = "cli")]
use crate::secret::Fingerprint;

/// The field with the mark. Only the record that waits has it.
const MOVE: &str = "codex_auth_sdk_move";

/// What the record of a login that waits says of its move.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParkingMark {
    /// The place that the login is moved from.
    pub(crate) from: String,
    /// The id of the move, which only the home that it was begun in has, too.
    pub(crate) id: String,
    /// The refresh token in the new place, if the login that waits is to replace that one.
    pub(crate) replaces: Option<Fingerprint>,
    /// Whether it was this move that has emptied the old place.
    pub(crate) has_emptied: bool,
}

impl AuthDotJson {
    /// Returns whether the login waits for its move.
    pub(crate) fn is_parked(&self) -> bool {
        self.extra.contains(MOVE)
    }

    /// Returns what the record says of the move that the login waits for; none if that is not known.
    #[cfg(feature = "cli")]
    pub(crate) fn parking_mark(&self) -> Option<ParkingMark> {
        self.extra.get(MOVE)
    }

    /// Returns this record as one that waits.
    #[cfg(feature = "cli")]
    pub(crate) fn parked(&self, mark: &ParkingMark) -> Self {
        let mut parked = self.clone();
        parked.extra.set(MOVE, mark);
        parked
    }

    /// Returns this record as it was before it waited.
    #[cfg(feature = "cli")]
    pub(crate) fn unparked(&self) -> Self {
        let mut record = self.clone();
        drop(record.extra.take_raw(MOVE));
        record
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::snapshot::CodexAuth;

    fn login(record: &AuthDotJson) -> Option<CodexAuth> {
        CodexAuth::received(Arc::new(record.clone()), &"".into())
    }

    #[test]
    fn a_login_that_waits_for_its_move_is_no_login() {
        let text = br#"{"tokens": {"access_token": "a", "refresh_token": "r"}, "new": 1.50}"#;
        let record = AuthDotJson::parse(text).expect("a record");
        let mark = ParkingMark {
            from: "/there/auth.json".to_owned(),
            id: "1".to_owned(),
            replaces: Some(Fingerprint::of(b"old")),
            has_emptied: false,
        };
        let parked = record.parked(&mark);
        let read = AuthDotJson::parse(parked.to_json().expose().as_bytes()).expect("a record");
        assert_eq!(read.parking_mark(), Some(mark));
        assert!(login(&read).is_none() && login(&record).is_some());
        assert!(!record.is_parked() && read.unparked() == record);
    }

    #[test]
    fn a_mark_that_makes_no_sense_is_a_mark_all_the_same() {
        let text = br#"{"OPENAI_API_KEY": "sk-1", "codex_auth_sdk_move": "/there/auth.json"}"#;
        let record = AuthDotJson::parse(text).expect("a record");
        assert!(record.is_parked() && record.parking_mark().is_none() && login(&record).is_none());
    }
}
