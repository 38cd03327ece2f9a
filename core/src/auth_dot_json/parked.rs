//! A login that is being moved to another store, and waits beside that store until its old place is
//! empty. It is marked, so that nothing takes it for a login of its own.

use super::AuthDotJson;

/// The field with the place that the login is moved from. Only the record that waits has it.
const MOVED_FROM: &str = "codex_auth_sdk_moved_from";

impl AuthDotJson {
    /// Returns the place that the login is moved from; none if it is not being moved.
    pub(crate) fn moved_from(&self) -> Option<String> {
        self.extra.get(MOVED_FROM)
    }

    /// Returns this record as one that waits until the place `from` is empty.
    #[cfg(feature = "cli")]
    pub(crate) fn parked(&self, from: &str) -> Self {
        let mut parked = self.clone();
        parked.extra.set(MOVED_FROM, &from);
        parked
    }

    /// Returns this record as it was before it waited.
    #[cfg(feature = "cli")]
    pub(crate) fn unparked(&self) -> Self {
        let mut record = self.clone();
        drop(record.extra.take_raw(MOVED_FROM));
        record
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::snapshot::CodexAuth;

    #[test]
    fn a_login_that_waits_for_its_move_is_no_login() {
        let text = br#"{"tokens": {"access_token": "a", "refresh_token": "r"}, "new": 1.50}"#;
        let record = AuthDotJson::parse(text).expect("a record");
        let parked = record.parked("/there/auth.json");
        let read = AuthDotJson::parse(parked.to_json().expose().as_bytes()).expect("a record");
        assert_eq!(read.moved_from().as_deref(), Some("/there/auth.json"));
        let login = |record: &AuthDotJson| {
            CodexAuth::received(Arc::new(record.clone()), &"".into()).map(|auth| auth.mode())
        };
        assert!(login(&read).is_none() && login(&record).is_some());
        assert_eq!((read.unparked(), record.moved_from()), (record, None));
    }
}
