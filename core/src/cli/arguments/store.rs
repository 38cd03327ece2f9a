//! The names of stores.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};

use crate::{Error, ErrorKind, StoreKind};

/// The stores that outlive the command.
const STORES: [&str; 6] = ["codex", "file", "keyring", "auto", "encrypted", "agent"];

/// Parses the name of a store. Shells complete those that need no more than their name.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreParser;

impl TypedValueParser for StoreParser {
    type Value = StoreKind;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<StoreKind, clap::Error> {
        TypedValueParser::parse_ref(&lasting_store, command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(STORES.into_iter().map(PossibleValue::new)))
    }
}

/// Returns the store of this name, if it outlives the command.
///
/// # Errors
///
/// `invalid_option`
pub(crate) fn lasting_store(name: &str) -> Result<StoreKind, Error> {
    match name.parse()? {
        StoreKind::Ephemeral => {
            Err(Error::new(ErrorKind::InvalidOption, "nothing in memory outlives the command"))
        }
        kind => Ok(kind),
    }
}
