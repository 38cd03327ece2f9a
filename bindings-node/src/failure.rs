//! Converts errors of the core to plain data.

use std::error::Error as _;
use std::iter;

use codex_auth_sdk::{Error, Result};
use napi::bindgen_prelude::Either;
use napi_derive::napi;

use crate::thrown::Thrown;

/// An error of the core, which the TypeScript facade converts to a `CodexAuthError`.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct Failure {
    /// The kind of error, such as `store_corrupt`.
    pub code: String,
    /// One line that says what failed, where, and what to do.
    pub message: String,
    /// A more precise reason.
    pub reason: Option<String>,
    /// Whether the call may succeed later although no user signs in or repairs something.
    pub is_transient: bool,
    /// How long to wait before the next try, in milliseconds.
    pub retry_after_ms: Option<f64>,
    /// The messages of the error's causes, the nearest first.
    pub causes: Vec<String>,
    /// The number of the value that a custom store threw, if that is the cause.
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

/// A value, or the error in its place.
#[napi]
pub type Outcome<T> = Either<T, Failure>;

pub(crate) fn outcome<T>(result: Result<T>) -> Outcome<T> {
    match result {
        Ok(value) => Either::A(value),
        Err(error) => Either::B(error.into()),
    }
}
