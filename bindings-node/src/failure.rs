//! Errors of the core as plain data.

use std::error::Error as _;
use std::iter;

use codex_auth_sdk::{Error, Result};
use napi::bindgen_prelude::Either;
use napi_derive::napi;

use crate::custom::Thrown;

/// An error of the core, of which the facade makes a `CodexAuthError`.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct Failure {
    /// The error's kind, the same in every language.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// A finer reason.
    pub reason: Option<String>,
    /// Whether the same call may succeed later.
    pub is_transient: bool,
    /// How long to wait before trying again.
    pub retry_after_ms: Option<f64>,
    /// The messages of the causes, the nearest first.
    pub causes: Vec<String>,
    /// The number of what a custom store threw, which is the cause then.
    pub thrown: Option<u32>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            reason: error.reason().map(str::to_owned),
            is_transient: error.is_transient(),
            retry_after_ms: error.retry_after().map(|wait| wait.as_secs_f64() * 1e3),
            causes: iter::successors(error.source(), |&cause| cause.source())
                .map(ToString::to_string)
                .collect(),
            thrown: error.source().and_then(|cause| cause.downcast_ref()).map(|Thrown(id)| *id),
        }
    }
}

/// A value, or why there is none.
#[napi]
pub type Outcome<T> = Either<T, Failure>;

pub(crate) fn outcome<T>(result: Result<T>) -> Outcome<T> {
    match result {
        Ok(value) => Either::A(value),
        Err(error) => Either::B(error.into()),
    }
}
