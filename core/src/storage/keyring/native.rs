//! The keychain of macOS and the credential manager of Windows. Their calls block, for as long as a
//! question of the system's is open, so those about one item share a thread.

use std::fmt;
use std::sync::Arc;

use keyring_core::api::CredentialStore;
use keyring_core::{Entry, Error as KeyringError};

use super::attendance::Attendance;
use super::item::KeyringItem;
use super::item_lanes::ItemLanes;
use super::provider::Keyring;
use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Windows keeps UTF-16, in at most 2,560 bytes.
#[cfg(windows)]
const LONGEST_VALUE: usize = 1280;

/// The store of the system, opened by each call: that is cheap, and a failure is not for ever.
pub(super) struct NativeKeyring;

impl Keyring for NativeKeyring {
    fn get<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<Option<Secret>>> {
        detached(item, |entry| match entry.get_password() {
            Ok(value) => Ok(Some(Secret::new(value))),
            Err(KeyringError::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn set<'a>(&'a self, item: &'a KeyringItem, value: &'a Secret) -> BoxFuture<'a, Result<()>> {
        let value = value.clone();
        detached(item, move |entry| entry.set_password(value.expose()))
    }

    fn delete<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        detached(item, |entry| match entry.delete_credential() {
            Err(KeyringError::NoEntry) => Ok(()),
            answer => answer,
        })
    }

    /// The system has asked by itself, where it asks at all: once more would be twice.
    fn unlock<'a>(&'a self, _: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Err(locked(&"the system's question was not answered")) })
    }

    fn attendance(&self) -> &Attendance {
        static ATTENDANCE: Attendance = Attendance::new();
        &ATTENDANCE
    }

    #[cfg(windows)]
    fn longest_value(&self) -> Option<usize> {
        Some(LONGEST_VALUE)
    }
}

impl fmt::Debug for NativeKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NativeKeyring")
    }
}

/// What `call` on `item` comes to, once earlier calls on it are over.
fn detached<'a, T: Send + 'static>(
    item: &KeyringItem,
    call: impl FnOnce(&Entry) -> Result<T, KeyringError> + Send + 'static,
) -> BoxFuture<'a, Result<T>> {
    static LANES: ItemLanes = ItemLanes::new();
    let (lane, item) = (LANES.of(item), item.clone());
    Box::pin(async move {
        let answer = lane.run(move || {
            let entry = store().and_then(|store| store.build(item.service(), item.account(), None));
            entry.and_then(|entry| call(&entry)).map_err(|error| explained(&error))
        });
        answer.await.unwrap_or_else(|error| Err(unavailable(&error)))
    })
}

#[cfg(target_os = "macos")]
fn store() -> Result<Arc<CredentialStore>, KeyringError> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(windows)]
fn store() -> Result<Arc<CredentialStore>, KeyringError> {
    Ok(windows_native_keyring_store::Store::new()?)
}

fn explained(error: &KeyringError) -> Error {
    match error {
        KeyringError::NoStorageAccess(cause) => locked(cause),
        KeyringError::TooLong(_, longest) => Error::new(
            ErrorKind::KeyringTooLong,
            format!("the keyring takes no more than {longest} bytes; use the store `file`"),
        ),
        error => unavailable(error),
    }
}

fn locked(cause: &dyn fmt::Display) -> Error {
    Error::new(
        ErrorKind::KeyringLocked,
        format!("the keyring gives no access: {cause}; unlock it and try again"),
    )
}

fn unavailable(error: &dyn fmt::Display) -> Error {
    Error::new(
        ErrorKind::KeyringUnavailable,
        format!("the keyring does not work: {error}; repair it, or use the store `file`"),
    )
}
