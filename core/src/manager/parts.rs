//! The parts of a manager.

use std::sync::Arc;

use super::store_choice::StoreOrigin;
use crate::login::{AuthorizationServer, Revocation, SignIn, SignOut};
use crate::refresh::Refresh;
use crate::state::State;
use crate::token_endpoint::TokenEndpoint;
use crate::upkeep::Fresh;

/// The parts that all clones of a manager share.
pub(super) struct Parts {
    pub(super) state: Arc<State>,
    pub(super) origin: StoreOrigin,
    pub(super) refresh: Arc<Refresh>,
    pub(super) fresh: Fresh,
    pub(super) sign_in: Arc<SignIn>,
    pub(super) sign_out: Arc<SignOut>,
}

impl Parts {
    pub(super) fn new(
        state: &Arc<State>,
        origin: StoreOrigin,
        endpoint: &Arc<dyn TokenEndpoint>,
        server: AuthorizationServer,
    ) -> Self {
        let refresh = Arc::new(Refresh::new(Arc::clone(state), Arc::clone(endpoint)));
        let revocation = Arc::new(Revocation::new(Arc::clone(state), Arc::clone(endpoint)));
        Self {
            state: Arc::clone(state),
            origin,
            fresh: Fresh::new(Arc::clone(state), Arc::clone(&refresh)),
            refresh,
            sign_in: Arc::new(SignIn::new(Arc::clone(state), server, Arc::clone(&revocation))),
            sign_out: Arc::new(SignOut::new(Arc::clone(state), revocation)),
        }
    }
}
