//! What a program sends its requests with: one login as it was at one moment.

mod headers;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;

pub(crate) use self::headers::is_header_value;
use self::headers::{Header, Sender, header_map};
use crate::auth_dot_json::{AuthDotJson, TokenData};
use crate::claims::{AccessTokenTimes, IdTokenClaims};
use crate::clock::{Renewal, Timekeeping, Timing, TokenTimes};
use crate::environment::Moment;
use crate::error::Result;
use crate::identity::Identity;
use crate::secret::{Fingerprint, Secret};

/// What kind of credential a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMode {
    /// A ChatGPT login: the only kind that is refreshed here.
    ChatGpt,
    /// An API key.
    ApiKey,
    /// A personal access token (`at-...`).
    PersonalAccessToken,
    /// A registered agent.
    AgentIdentity,
    /// ChatGPT tokens that another program manages.
    ExternalTokens,
    /// Amazon Bedrock credentials.
    Bedrock,
    /// Something else.
    Unknown,
}

impl AuthMode {
    /// The name of this mode, the same in every language.
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

    /// By `auth_mode`, else by the fields that are there, in the Codex CLI's order. An unknown
    /// word counts as absent.
    fn of(record: &AuthDotJson) -> Self {
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

/// An immutable snapshot of a login. Cheap to clone and safe to share between threads.
///
/// Hand the very snapshot that a request was sent with to
/// [`AuthManager::recover_from_unauthorized`](crate::AuthManager::recover_from_unauthorized) when
/// the request is answered with 401.
#[derive(Clone)]
pub struct CodexAuth(Arc<Inner>);

struct Inner {
    record: Arc<AuthDotJson>,
    mode: AuthMode,
    bearer: Option<Secret>,
    claims: IdTokenClaims,
    identity: Identity,
    times: TokenTimes,
    /// Made once: a snapshot is sent many times.
    headers: Result<Vec<Header>>,
    /// Made where they are asked for.
    header_map: OnceLock<HeaderMap>,
}

impl CodexAuth {
    /// The login in `record`; none where there is no login in it.
    pub(crate) fn received(record: Arc<AuthDotJson>, originator: &Arc<str>) -> Option<Self> {
        let mode = AuthMode::of(&record);
        let tokens = record.tokens.as_ref();
        if mode == AuthMode::ChatGpt && tokens.is_none() {
            return None;
        }
        let bearer = match mode {
            AuthMode::ChatGpt | AuthMode::ExternalTokens => {
                tokens.map(|tokens| tokens.access_token.clone())
            }
            AuthMode::ApiKey => record.openai_api_key.clone(),
            AuthMode::PersonalAccessToken => record.extra.text("personal_access_token"),
            AuthMode::AgentIdentity | AuthMode::Bedrock | AuthMode::Unknown => None,
        };
        let claims = tokens
            .and_then(|tokens| IdTokenClaims::parse(tokens.id_token.expose()))
            .unwrap_or_default();
        let times = tokens.map_or_else(AccessTokenTimes::default, |tokens| {
            AccessTokenTimes::parse(tokens.access_token.expose())
        });
        let identity =
            tokens.map_or_else(Identity::default, |tokens| Identity::of(tokens, &claims));
        let sender = Sender { mode, bearer: bearer.as_ref(), identity: &identity, originator };
        Some(Self(Arc::new(Inner {
            headers: sender.headers(claims.is_fedramp),
            header_map: OnceLock::new(),
            identity,
            mode,
            bearer,
            claims,
            times: TokenTimes::new(times, record.last_refresh),
            record,
        })))
    }

    /// What kind of credential this is.
    pub fn mode(&self) -> AuthMode {
        self.0.mode
    }

    /// The bearer token: the access token, or the API key in [`AuthMode::ApiKey`]. None for
    /// credentials that are not bearer tokens.
    pub fn access_token(&self) -> Option<&Secret> {
        self.0.bearer.as_ref()
    }

    /// The workspace.
    pub fn account_id(&self) -> Option<&str> {
        self.0.identity.account_id()
    }

    /// The user.
    pub fn user_id(&self) -> Option<&str> {
        self.0.identity.user_id()
    }

    /// The user's address, for display.
    pub fn email(&self) -> Option<&str> {
        self.0.claims.email.as_deref()
    }

    /// The plan, as the server spells it.
    pub fn plan_type(&self) -> Option<&str> {
        self.0.claims.plan_type.as_deref()
    }

    /// `exp` of the access token: the server's clock, not this machine's.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.times.expires_at
    }

    /// When the tokens were last refreshed.
    pub fn last_refresh(&self) -> Option<DateTime<Utc>> {
        self.0.record.last_refresh
    }

    /// Whether the workspace is a FedRAMP one.
    pub fn is_fedramp(&self) -> bool {
        self.0.claims.is_fedramp
    }

    /// Where requests with this credential go; none for those that this crate cannot send.
    pub fn base_url(&self) -> Option<&'static str> {
        match self.0.mode {
            AuthMode::ChatGpt | AuthMode::ExternalTokens | AuthMode::PersonalAccessToken => {
                Some("https://chatgpt.com/backend-api/codex")
            }
            AuthMode::ApiKey => Some("https://api.openai.com/v1"),
            AuthMode::AgentIdentity | AuthMode::Bedrock | AuthMode::Unknown => None,
        }
    }

    /// The headers of a request with this credential: `Authorization`, and for ChatGPT logins
    /// `ChatGPT-Account-ID`, `X-OpenAI-Fedramp` and `originator`.
    ///
    /// # Errors
    ///
    /// `unsupported_mode` where the credential is not a bearer token, or where it or the account id
    /// cannot stand in a header: without the id the request would be for another workspace.
    pub fn headers(&self) -> Result<&[(&'static str, Secret)]> {
        self.0.headers.as_deref().map_err(Clone::clone)
    }

    /// The [`headers`](Self::headers) as the crate `http` has them, and with it `reqwest`, marked as
    /// sensitive. They are kept with the snapshot, and not wiped when it goes.
    ///
    /// # Errors
    ///
    /// Those of [`headers`](Self::headers).
    pub fn header_map(&self) -> Result<&HeaderMap> {
        let headers = self.headers()?;
        Ok(self.0.header_map.get_or_init(|| header_map(headers)))
    }

    pub(crate) fn record(&self) -> &Arc<AuthDotJson> {
        &self.0.record
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Whether the tokens say that they are another account's than the record's: an old CLI puts
    /// what it was granted into whatever record there is by then.
    pub(crate) fn is_mixed(&self) -> bool {
        let claimed = self.0.claims.account_id.as_deref();
        self.managed_tokens().is_some() && claimed.is_some_and(|id| self.account_id() != Some(id))
    }

    /// The tokens of a login that is ours to refresh.
    pub(crate) fn managed_tokens(&self) -> Option<&TokenData> {
        self.0.record.tokens.as_ref().filter(|_| self.0.mode == AuthMode::ChatGpt)
    }

    pub(crate) fn access_fingerprint(&self) -> Option<Fingerprint> {
        self.managed_tokens().map(|tokens| tokens.access_token.fingerprint())
    }

    pub(crate) fn refresh_fingerprint(&self) -> Option<Fingerprint> {
        self.managed_tokens().map(|tokens| tokens.refresh_token.fingerprint())
    }

    /// The access token at one moment, by what is `known` of time; `window` is the refresh window
    /// that an option asks for.
    pub(crate) fn timing(
        &self,
        known: &Timekeeping,
        now: &Moment,
        window: Option<TimeDelta>,
    ) -> Timing {
        Timing::new(self.0.times, self.access_fingerprint(), known, now, window)
    }

    /// That the access token has come by a redemption that was asked for at `asked_at`, by what is
    /// known of time `now`.
    pub(crate) fn renewed(
        &self,
        known: &Timekeeping,
        asked_at: &Moment,
        now: &Moment,
    ) -> Option<Renewal> {
        Some(Renewal::new(self.access_fingerprint()?, &self.0.times, known.ahead(now), asked_at))
    }
}

/// Two snapshots are equal if they are the same one, not if they say the same.
impl PartialEq for CodexAuth {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CodexAuth {}

impl Hash for CodexAuth {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for CodexAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodexAuth")
            .field("mode", &self.0.mode)
            .field("account_id", &self.account_id())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    fn auth(record: &Value) -> Option<CodexAuth> {
        let record = AuthDotJson::parse(record.to_string().as_bytes()).expect("a record");
        CodexAuth::received(Arc::new(record), &"test".into())
    }

    #[test]
    fn the_mode_is_the_named_one_else_the_first_that_is_there() {
        let mode = |record: Value| auth(&record).map(|auth| auth.mode());
        assert_eq!(mode(json!({})), None);
        assert_eq!(mode(json!({"OPENAI_API_KEY": null, "tokens": null})), None);
        assert_eq!(mode(json!({"personal_access_token": null, "bedrock_api_key": null})), None);
        assert_eq!(mode(json!({"OPENAI_API_KEY": ""})), Some(AuthMode::ApiKey));
        let both = json!({"OPENAI_API_KEY": "sk", "tokens": {"access_token": "a"}});
        assert_eq!(mode(both.clone()), Some(AuthMode::ApiKey));
        let mut named = both;
        named["auth_mode"] = json!("chatgpt");
        assert_eq!(mode(named.clone()), Some(AuthMode::ChatGpt));
        named["auth_mode"] = json!("futureMode");
        assert_eq!(mode(named), Some(AuthMode::ApiKey));
        assert_eq!(
            mode(json!({"personal_access_token": "at-1"})),
            Some(AuthMode::PersonalAccessToken)
        );
        assert_eq!(mode(json!({"bedrock_api_key": {}})), Some(AuthMode::Bedrock));
    }

    #[test]
    fn nothing_breaks_out_of_a_header() {
        let refused = |token: &str, id: &str| {
            let record = json!({"tokens": {"access_token": token, "account_id": id}});
            let error = auth(&record).expect("a login").headers().expect_err("refused");
            assert_eq!(error.code(), "unsupported_mode");
            error.to_string()
        };
        for odd in ["x\r\nEvil: 1", "x\ny", "x\0y", "x\ty", "\u{e9}", "\u{7f}"] {
            assert!(refused("a", odd).contains("account id"), "{odd:?}");
            assert!(refused(odd, "acct-1").contains("bearer token"), "{odd:?}");
        }
        refused("", "acct-1");
        let record = json!({"tokens": {"access_token": "a", "account_id": ""}});
        let auth = auth(&record).expect("a login");
        let headers = auth.headers().expect("no id, no header");
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["Authorization", "originator"]);
    }

    #[test]
    fn a_map_has_the_same_headers_and_prints_none() {
        let record = json!({"tokens": {"access_token": "sesame", "account_id": "acct-1"}});
        let auth = auth(&record).expect("a login");
        let (headers, map) = (auth.headers().expect("headers"), auth.header_map().expect("a map"));
        assert_eq!(map.len(), headers.len());
        for (name, value) in headers {
            assert_eq!(map.get(*name).map(HeaderValue::as_bytes), Some(value.expose().as_bytes()));
        }
        assert!(!format!("{map:?}").contains("sesame"));
    }
}
