//! Merges a reply of the token endpoint into a record.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::reply_owner::is_of_another_login;
use crate::auth_dot_json::AuthDotJson;
use crate::claims::IdTokenClaims;
use crate::environment::Moment;
use crate::secret::{Fingerprint, Secret};
use crate::snapshot::CodexAuth;
use crate::token_endpoint::Grant;

/// A redeemed refresh token, and the record with the tokens of the reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) redeemed: Fingerprint,
    /// The next refresh token; equal to `redeemed` if the server does not rotate.
    pub(super) granted: Fingerprint,
    /// When it was asked for: its access token was issued no earlier.
    pub(super) asked_at: Moment,
    pub(super) record: Arc<AuthDotJson>,
}

impl Reply {
    /// Returns the record of `auth` with the tokens of `grant`, or none if they are another
    /// login's. Tokens that the reply lacks stay as they were, and so does the id token if the new
    /// one cannot be read.
    pub(super) fn merge(
        auth: &CodexAuth,
        grant: Grant,
        asked_at: Moment,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let mut record = AuthDotJson::clone(auth.record());
        let tokens = record.tokens.as_mut()?;
        let redeemed = tokens.refresh_token.fingerprint();
        if is_of_another_login(tokens, &grant) {
            return None;
        }
        let is_readable = |token: &Secret| IdTokenClaims::parse(token.expose()).is_some();
        if let Some(token) = grant.id_token.filter(is_readable) {
            tokens.id_token = token;
        }
        if let Some(token) = grant.access_token {
            tokens.access_token = token;
        }
        if let Some(token) = grant.refresh_token {
            tokens.refresh_token = token;
        }
        let granted = tokens.refresh_token.fingerprint();
        record.last_refresh = Some(now);
        Some(Self { redeemed, granted, asked_at, record: Arc::new(record) })
    }
}
