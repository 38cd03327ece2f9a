//! An exception that a custom store raised, on its way through the core.

use std::error::Error;
use std::fmt;

use pyo3::prelude::*;

/// Carries a Python exception as the cause of an error of the core.
///
/// It prints neither the exception's type nor its text: the text may hold a token, and to print it
/// would take the interpreter's lock.
pub(crate) struct Raised(pub(crate) PyErr);

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raised(..)")
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an exception of the store")
    }
}

impl Error for Raised {}
