//! The kinds of credentials.

use crate::auth_dot_json::AuthDotJson;

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMode {
    /// A ChatGPT login, the only kind that managers refresh. If its record has no refresh token,
    /// they follow what another program stores.
    ChatGpt,
    /// An OpenAI API key.
    ApiKey,
    /// A token (`at-...`) that its user has created for programs.
    PersonalAccessToken,
    /// The signing key of an agent; it is not a bearer token.
    AgentIdentity,
    /// ChatGPT tokens that another program refreshes, and that managers follow.
    ExternalTokens,
    /// A credential of Amazon Bedrock.
    Bedrock,
    /// A kind that this version does not know.
    Unknown,
}

impl AuthMode {
    /// Returns the name of this kind, which is the same in every language.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatGpt => "chatgpt",
            Self::ApiKey => "api_key",
            Self::PersonalAccessToken => "personal_access_token",
            Self::AgentIdentity => "agent_identity",
            Self::ExternalTokens => "external_tokens",
            Self::Bedrock => "bedrock",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the kind that `auth_mode` names, else that of the fields, in the Codex CLI's order.
    /// An unknown `auth_mode` counts as absent.
    pub(super) fn of(record: &AuthDotJson) -> Self {
        match record.auth_mode.as_deref() {
            Some("apikey") => Self::ApiKey,
            Some("chatgpt") => Self::ChatGpt,
            Some("chatgptAuthTokens") => Self::ExternalTokens,
            Some("agentIdentity") => Self::AgentIdentity,
            Some("personalAccessToken") => Self::PersonalAccessToken,
            Some("bedrockApiKey" | "bedrockAccessKeys") => Self::Bedrock,
            Some("headers") => Self::Unknown,
            _ => Self::of_fields(record),
        }
    }

    fn of_fields(record: &AuthDotJson) -> Self {
        let has = |name| record.extra.contains(name);
        if has("personal_access_token") {
            Self::PersonalAccessToken
        } else if has("bedrock_api_key") || has("bedrock_access_keys") {
            Self::Bedrock
        } else if record.openai_api_key.is_some() {
            Self::ApiKey
        } else if record.tokens.is_none() && has("agent_identity") {
            Self::AgentIdentity
        } else {
            Self::ChatGpt
        }
    }
}
