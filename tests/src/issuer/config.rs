//! What a realm does: everything a test can change about its issuer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::faults::ErrorReply;
use super::minting::{Account, IdTokenKind};

/// The behaviour of one realm. Every field has a default, so a test names only what it is about.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    pub(super) policy: Policy,
    pub(super) grace_ms: u64,
    pub(super) rotate: bool,
    /// What a server that does not rotate puts into its reply.
    pub(super) reply_refresh_token: UnrotatedReply,
    pub(super) reply_id_token: IdTokenKind,
    /// The content coding of grants, whatever the client accepts.
    pub(super) reply_coding: ReplyCoding,
    pub(super) access_token: AccessTokenKind,
    pub(super) access_iat: bool,
    pub(super) access_ttl_ms: u64,
    /// Shifts `iat` and `exp` of minted tokens, and the `Date` of the token endpoint's replies.
    pub(super) clock_offset_s: i64,
    pub(super) client_id: Option<String>,
    pub(super) grant_latency_ms: u64,
    pub(super) refusal_latency_ms: u64,
    /// Spend at the end of the latency of a grant instead of at its start.
    pub(super) spend_at_end: bool,
    /// Replaces status, code and shape of every refusal.
    pub(super) refusal: Option<ErrorReply>,
    pub(super) old_access_tokens: OldAccessTokens,
    pub(super) api_reject_all: bool,
    pub(super) revoke: RevokeBehaviour,
    pub(super) device_pending_polls: u32,
    /// What the authorization page sends the browser back with instead of a code.
    pub(super) sign_in_error: Option<String>,
    /// Who signs in by browser or device code.
    pub(super) account: Account,
}

impl Config {
    /// Replaces the fields named in `patch` and keeps the others.
    pub(super) fn patched(&self, patch: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut fields = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut fields {
            fields.extend(patch);
        }
        serde_json::from_value(fields)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy::Error,
            grace_ms: 0,
            rotate: true,
            reply_refresh_token: UnrotatedReply::Same,
            reply_id_token: IdTokenKind::Normal,
            reply_coding: ReplyCoding::Identity,
            access_token: AccessTokenKind::Jwt,
            access_iat: true,
            access_ttl_ms: 3_600_000,
            clock_offset_s: 0,
            client_id: None,
            grant_latency_ms: 0,
            refusal_latency_ms: 0,
            spend_at_end: false,
            refusal: None,
            old_access_tokens: OldAccessTokens::Accepted,
            api_reject_all: false,
            revoke: RevokeBehaviour::Ok,
            device_pending_polls: 0,
            sign_in_error: None,
            account: Account::named("device"),
        }
    }
}

/// What a spent refresh token costs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Policy {
    /// The request is refused and nothing else happens.
    Error,
    /// Every token of the family dies as well.
    RevokeFamily,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnrotatedReply {
    Same,
    Omit,
    Empty,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReplyCoding {
    Identity,
    Gzip,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AccessTokenKind {
    Jwt,
    /// Its times are in milliseconds.
    JwtMs,
    NoExp,
    Opaque,
    OtherAccount,
}

/// Whether a rotation ends the access tokens that came before it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OldAccessTokens {
    Accepted,
    Revoked,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RevokeBehaviour {
    Ok,
    Fail,
    Hang,
}
