//! A store in memory.

use codex_auth_sdk::storage::{AuthDotJson, EphemeralStorage};
use napi::bindgen_prelude::Either;
use napi_derive::napi;

use crate::failure::{Failure, Outcome, outcome};

/// The native half of `EphemeralStorage`.
#[napi]
#[derive(Debug)]
pub struct NativeEphemeralStorage(pub(crate) EphemeralStorage);

#[expect(clippy::use_self, reason = "the macro takes signatures out of the impl")]
#[napi]
impl NativeEphemeralStorage {
    /// Creates a store that holds the login in `json`.
    #[napi]
    pub fn create(json: Option<String>) -> Outcome<NativeEphemeralStorage> {
        outcome(parse(json).map(|record| Self(EphemeralStorage::new(record))))
    }

    /// Returns the stored login as JSON text, or null.
    #[napi]
    pub fn record(&self) -> Option<String> {
        self.0.record().map(|record| record.to_json_pretty().expose().to_owned())
    }

    /// Replaces the stored login by that in `json`. Returns the error, if there is one.
    #[napi]
    pub fn replace(&self, json: Option<String>) -> Option<Failure> {
        match outcome(parse(json)) {
            Either::A(record) => self.0.replace(record),
            Either::B(failure) => return Some(failure),
        }
        None
    }
}

fn parse(json: Option<String>) -> codex_auth_sdk::Result<Option<AuthDotJson>> {
    Ok(json.map(|json| AuthDotJson::parse(json.as_bytes())).transpose()?)
}
