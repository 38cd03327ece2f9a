//! What stores need of a keyring.

use std::fmt;

use super::item::KeyringItem;
use super::prompts::Prompts;
use crate::environment::BoxFuture;
use crate::error::Result;
use crate::secret::Secret;

/// The keyring of the operating system.
///
/// Calls may take as long as they like, or never return: the caller gives up in time, and dropping
/// the future must be safe. None of them asks the user for anything, but [`unlock`](Self::unlock).
///
/// All of them fail with `keyring_unavailable` where there is no keyring or it does not work, and
/// with `keyring_locked` where its user must unlock it first.
pub trait Keyring: Send + Sync + fmt::Debug {
    /// What `item` holds; none where there is no such item.
    fn get<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<Option<Secret>>>;

    /// Makes `item` hold `value`, in place where there is such an item.
    ///
    /// # Errors
    ///
    /// Also `keyring_too_long` where the keyring takes no value of this length.
    fn set<'a>(&'a self, item: &'a KeyringItem, value: &'a Secret) -> BoxFuture<'a, Result<()>>;

    /// Removes `item` if it is there.
    fn delete<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>>;

    /// Asks the user to unlock what `item` is in, or is to be made in.
    fn unlock<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>>;

    /// When its user was asked last; the same for all that are one keyring to the user.
    fn prompts(&self) -> &Prompts;

    /// Shows that `item` can be set: that it, or else what it is to be made in, is there and
    /// unlocked. By default only that it can be read.
    fn ready<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.get(item).await.map(drop) })
    }

    /// The most bytes that a value may have, where there is such a limit.
    fn longest_value(&self) -> Option<usize> {
        None
    }
}
