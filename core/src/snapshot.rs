//! Snapshots: a login as it was at one moment, with which a program sends its requests.

mod auth_mode;
mod headers;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;

pub use self::auth_mode::AuthMode;
pub(crate) use self::headers::is_header_value;
use self::headers::{Header, Sender, header_map};
use crate::auth_dot_json::{AuthDotJson, TokenData};
use crate::claims::{AccessTokenTimes, IdTokenClaims};
use crate::clock::{Renewal, Timekeeping, Timing, TokenTimes};
use crate::environment::Moment;
use crate::error::Result;
use crate::identity::{Identity, Oddity};
use crate::secret::{Fingerprint, Secret};

/// A snapshot of a login: its tokens and account as they were at one moment.
///
/// A manager hands snapshots out. A program sends a request with one, and passes that same snapshot
/// to [`AuthManager::recover_from_unauthorized`](crate::AuthManager::recover_from_unauthorized) if
/// the request is answered with 401. A snapshot is immutable, cheap to clone, and may be shared
/// between threads. It equals only itself and its clones. `Debug` shows no token.
#[derive(Clone)]
pub struct CodexAuth(Arc<Inner>);

struct Inner {
    record: Arc<AuthDotJson>,
    mode: AuthMode,
    bearer: Option<Secret>,
    claims: IdTokenClaims,
    identity: Identity,
    times: TokenTimes,
    /// Made once, since many requests are sent with one snapshot.
    headers: Result<Vec<Header>>,
    /// Made at the first call of [`CodexAuth::header_map`].
    header_map: OnceLock<HeaderMap>,
}

impl CodexAuth {
    /// Returns the login in `record`; none if it contains no login.
    pub(crate) fn received(record: Arc<AuthDotJson>, originator: &Arc<str>) -> Option<Self> {
        if record.is_parked() {
            return None;
        }
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

    /// Returns the kind of the credential.
    pub fn mode(&self) -> AuthMode {
        self.0.mode
    }

    /// Returns the bearer token (RFC 6750): the access token, or the API key in
    /// [`AuthMode::ApiKey`]; none if the credential is not a bearer token.
    pub fn access_token(&self) -> Option<&Secret> {
        self.0.bearer.as_ref()
    }

    /// Returns the id of the workspace that requests are made for; none if it is not known.
    pub fn account_id(&self) -> Option<&str> {
        self.0.identity.workspace()
    }

    /// Returns the id of the user; none if the tokens do not name one.
    pub fn user_id(&self) -> Option<&str> {
        self.0.identity.user_id()
    }

    /// Returns the user's e-mail address, for display; none if the tokens do not name one.
    pub fn email(&self) -> Option<&str> {
        self.0.claims.email.as_deref()
    }

    /// Returns the ChatGPT plan, as the server spells it, such as `plus`; none if it is not known.
    pub fn plan_type(&self) -> Option<&str> {
        self.0.claims.plan_type.as_deref()
    }

    /// Returns when the access token expires, by the clock of the server; none if the token does
    /// not say.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.times.expires_at
    }

    /// Returns when a program last refreshed the tokens; none if the stored record does not say.
    pub fn last_refresh(&self) -> Option<DateTime<Utc>> {
        self.0.record.last_refresh
    }

    /// Returns whether the workspace is subject to FedRAMP.
    pub fn is_fedramp(&self) -> bool {
        self.0.claims.is_fedramp
    }

    /// Returns the base URL of the API for this credential; none if it is not a bearer token.
    pub fn base_url(&self) -> Option<&'static str> {
        match self.0.mode {
            AuthMode::ChatGpt | AuthMode::ExternalTokens | AuthMode::PersonalAccessToken => {
                Some("https://chatgpt.com/backend-api/codex")
            }
            AuthMode::ApiKey => Some("https://api.openai.com/v1"),
            AuthMode::AgentIdentity | AuthMode::Bedrock | AuthMode::Unknown => None,
        }
    }

    /// Returns the headers that authorize a request. They contain the token.
    ///
    /// They are `Authorization` and, for ChatGPT logins, `ChatGPT-Account-ID`, `originator` and, if
    /// [`is_fedramp`](Self::is_fedramp) is true, `X-OpenAI-Fedramp`.
    ///
    /// # Errors
    ///
    /// `unsupported_mode` if the credential is not a bearer token, or if it or the account id
    /// contains characters that a header cannot have. Without the account id, the request would be
    /// made for another workspace.
    pub fn headers(&self) -> Result<&[(&'static str, Secret)]> {
        self.0.headers.as_deref().map_err(Clone::clone)
    }

    /// Returns the [`headers`](Self::headers) as types of the crate `http`, which `reqwest` uses.
    /// They are marked as sensitive.
    ///
    /// The map is kept with the snapshot, and its memory is not wiped when the snapshot is dropped.
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

    /// Returns what is odd about the tokens of a ChatGPT login.
    pub(crate) fn oddity(&self) -> Option<Oddity> {
        self.identity().oddity().filter(|_| self.tokens().is_some())
    }

    /// Returns the tokens of a ChatGPT login, whichever program renews them.
    pub(crate) fn tokens(&self) -> Option<&TokenData> {
        let is_chatgpt = matches!(self.0.mode, AuthMode::ChatGpt | AuthMode::ExternalTokens);
        self.0.record.tokens.as_ref().filter(|_| is_chatgpt)
    }

    /// Returns the tokens, if a manager may redeem the refresh token. Else another program, which
    /// has the refresh token, renews the access token.
    pub(crate) fn managed_tokens(&self) -> Option<&TokenData> {
        let is_managed = |tokens: &&TokenData| !tokens.refresh_token.is_empty();
        self.tokens().filter(is_managed).filter(|_| self.0.mode == AuthMode::ChatGpt)
    }

    /// Returns the fingerprint of the access token of a ChatGPT login.
    pub(crate) fn access_fingerprint(&self) -> Option<Fingerprint> {
        self.tokens().map(|tokens| tokens.access_token.fingerprint())
    }

    /// Returns the fingerprint of the refresh token, if a manager may redeem it.
    pub(crate) fn refresh_fingerprint(&self) -> Option<Fingerprint> {
        self.managed_tokens().map(|tokens| tokens.refresh_token.fingerprint())
    }

    /// Judges the access token at the moment `now`, by what is `known` of time. `window` is the
    /// refresh window that an option sets.
    pub(crate) fn timing(
        &self,
        known: &Timekeeping,
        now: &Moment,
        window: Option<TimeDelta>,
    ) -> Timing {
        Timing::new(self.0.times, self.access_fingerprint(), known, now, window)
    }

    /// Returns that a redemption brings the access token, which was asked for at `asked_at`, by what
    /// is known of time `now`.
    pub(crate) fn renewed(
        &self,
        known: &Timekeeping,
        asked_at: &Moment,
        now: &Moment,
    ) -> Option<Renewal> {
        Some(Renewal::new(self.access_fingerprint()?, &self.0.times, known.ahead(now), asked_at))
    }
}

/// A snapshot equals only itself and its clones, not another one with the same tokens.
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
