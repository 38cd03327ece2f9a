//! Where the record is whose refresh token is redeemed. Another program may move a link on the way to
//! it before the new tokens are saved.

use std::sync::Arc;

use crate::error::Result;
use crate::state::State;
use crate::storage::AuthStorage;

/// The store of that place, if links lead there.
#[derive(Debug)]
pub(super) struct Origin(Option<Arc<dyn AuthStorage>>);

impl Origin {
    /// Returns the place where the record is now.
    pub(super) async fn of(state: &State) -> Result<Self> {
        Ok(Self(state.storage.resolved().await?))
    }

    /// Returns the store of this place, if the links do not lead there any more. None where that cannot
    /// be found out for now.
    pub(super) async fn if_left(&self, state: &State) -> Option<&dyn AuthStorage> {
        let origin = self.0.as_deref()?;
        let now = state.storage.resolved().await.ok()?;
        let is_there = now.is_some_and(|now| now.location() == origin.location());
        (!is_there).then_some(origin)
    }
}
