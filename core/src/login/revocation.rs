//! Revokes a login that is signed out or was replaced.

use std::sync::Arc;
use std::time::Duration;

use crate::auth_dot_json::AuthDotJson;
use crate::snapshot::AuthMode;
use crate::state::State;
use crate::token_endpoint::{StoredToken, TokenEndpoint, TokenTypeHint};

/// How long a revocation may take, as in the Codex CLI.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the authorization server to revoke logins.
#[derive(Debug)]
pub(crate) struct Revocation {
    state: Arc<State>,
    endpoint: Arc<dyn TokenEndpoint>,
}

impl Revocation {
    pub(crate) fn new(state: Arc<State>, endpoint: Arc<dyn TokenEndpoint>) -> Self {
        Self { state, endpoint }
    }

    /// Returns `record`, or the record with the unsaved tokens that replace those in it.
    pub(super) fn newest(&self, record: &Arc<AuthDotJson>) -> Arc<AuthDotJson> {
        let unsaved = self.state.memory.unsaved();
        let unsaved = unsaved.filter(|pair| self.state.is_replaceable(record, &pair.record));
        unsaved.map_or_else(|| Arc::clone(record), |pair| Arc::clone(&pair.record))
    }

    /// Asks the server to revoke the login in `record`. Returns whether the server has confirmed
    /// it. A failure is a warning, since the login is removed anyway.
    pub(super) async fn revoke(&self, record: &Arc<AuthDotJson>) -> bool {
        let Some(auth) = self.state.login_in(record) else { return false };
        let is_own = auth.mode() == AuthMode::ChatGpt;
        let Some(tokens) = auth.tokens().filter(|_| is_own) else { return false };
        let (token, hint) = if tokens.refresh_token.is_empty() {
            (&tokens.access_token, TokenTypeHint::AccessToken)
        } else {
            (&tokens.refresh_token, TokenTypeHint::RefreshToken)
        };
        let client_id = tokens.client_id();
        let token = StoredToken::new(token, client_id.as_deref());
        let answer = self.endpoint.revoke(token, hint, REVOKE_TIMEOUT).await;
        if let Err(error) = &answer {
            tracing::warn!(%error, "the login was not revoked, so its tokens stay valid");
        }
        answer.is_ok()
    }
}
