//! The keyring as stores use it.

use std::fmt;

use super::attendance::Attendance;
use super::item::KeyringItem;
use crate::environment::BoxFuture;
use crate::error::Result;
use crate::secret::Secret;

/// The keyring of the operating system.
///
/// A call may take any time, or never return: its caller gives up in time, and drops the future at
/// any moment. Only [`unlock`](Self::unlock) asks the user for something, but on macOS, where the
/// system may ask at any call.
///
/// A call fails with `keyring_unavailable` if there is no keyring or it does not work, and with
/// `keyring_locked` if the user must unlock the keyring first.
pub trait Keyring: Send + Sync + fmt::Debug {
    /// Returns what `item` holds; none if there is no such item.
    ///
    /// # Errors
    ///
    /// `keyring_unavailable`, `keyring_locked`; `store_corrupt` if the item holds no text.
    fn get<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<Option<Secret>>>;

    /// Makes `item` hold `value`. An item that is there is changed in place.
    ///
    /// # Errors
    ///
    /// `keyring_unavailable`, `keyring_locked`; `keyring_too_long` if the keyring takes no value of
    /// this length.
    fn set<'a>(&'a self, item: &'a KeyringItem, value: &'a Secret) -> BoxFuture<'a, Result<()>>;

    /// Removes `item` if it is there.
    ///
    /// # Errors
    ///
    /// `keyring_unavailable`, `keyring_locked`.
    fn delete<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>>;

    /// Asks the user to unlock the collection that holds `item`, or that a new item goes to.
    ///
    /// # Errors
    ///
    /// `keyring_unavailable`; `keyring_locked` if the user does not unlock it.
    fn unlock<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>>;

    /// Returns when it did not answer, and when its user was asked. Two values for one
    /// keyring of the user return the same [`Attendance`].
    fn attendance(&self) -> &Attendance;

    /// Returns whether this machine is known to have no such keyring now, without a call. The default
    /// is that it may have one.
    fn is_missing(&self) -> bool {
        false
    }

    /// Shows that `item` can be set: that the item, or else the collection that a new item goes to,
    /// is there and unlocked. The default only shows that the item can be read.
    ///
    /// # Errors
    ///
    /// `keyring_unavailable`, `keyring_locked`.
    fn ready<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.get(item).await.map(drop) })
    }

    /// Returns the largest number of bytes that a value may have; none if there is no limit.
    fn longest_value(&self) -> Option<usize> {
        None
    }
}
