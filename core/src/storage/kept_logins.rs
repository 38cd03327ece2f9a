//! Sign-ins that wait for their users, in a store that other processes can read.

use std::fmt;
use std::time::Duration;

use crate::environment::BoxFuture;
use crate::error::Result;
use crate::secret::Secret;

/// What of a store keeps sign-ins that wait for their users, so that another process can finish one.
///
/// A sign-in has an id that cannot be guessed. It is kept until a process [ends](Self::end) it or its
/// time is over, by a clock that all processes share.
pub trait KeptLogins: Send + Sync {
    /// Keeps the `state` of a new sign-in for `lifetime`, and returns the id of the sign-in.
    ///
    /// # Errors
    ///
    /// Those of [`AuthStorage::commit`](super::AuthStorage::commit).
    fn keep<'a>(&'a self, state: &'a Secret, lifetime: Duration) -> BoxFuture<'a, Result<String>>;

    /// Reads the sign-in `id`; none if it has ended.
    ///
    /// # Errors
    ///
    /// `store_unavailable`, also if the state is not what was kept under this id.
    fn read<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<KeptLogin>>>;

    /// Takes the turn to ask the server about the sign-in `id`. The next turn comes after `pause`,
    /// whichever process takes it.
    ///
    /// # Errors
    ///
    /// Those of [`keep`](Self::keep).
    fn take_turn<'a>(&'a self, id: &'a str, pause: Duration) -> BoxFuture<'a, Result<Turn>>;

    /// Ends the sign-in `id`, and returns whether this call has ended it: at most one does.
    ///
    /// # Errors
    ///
    /// Those of [`keep`](Self::keep).
    fn end<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool>>;
}

/// A sign-in that is kept.
#[non_exhaustive]
pub struct KeptLogin {
    /// Its state, as it was handed to [`KeptLogins::keep`].
    pub state: Secret,
    /// For how much longer it is kept.
    pub left: Duration,
}

impl KeptLogin {
    /// A sign-in with this `state`, which is kept for the time that is `left`.
    pub const fn new(state: Secret, left: Duration) -> Self {
        Self { state, left }
    }
}

impl fmt::Debug for KeptLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptLogin").field("left", &self.left).finish_non_exhaustive()
    }
}

/// Which process may ask the server about a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The caller, now.
    Ours,
    /// Another process has just asked.
    Others,
    /// None: the sign-in has ended.
    Ended,
}
