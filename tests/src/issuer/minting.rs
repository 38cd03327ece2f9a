//! Tokens: unique, shaped like the real ones, signed by nobody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::{AccessTokenKind, Config};

const AUTH_CLAIM: &str = "https://api.openai.com/auth";

/// Whose tokens they are. A missing part is left out of the claims.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Account {
    pub(super) account_id: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) email: Option<String>,
    pub(super) plan: Option<String>,
    pub(super) fedramp: bool,
}

impl Account {
    /// The account that a login of this name has unless it says otherwise.
    pub(super) fn named(name: &str) -> Self {
        Self {
            account_id: Some(format!("acct-{name}")),
            user_id: Some(format!("user-{name}")),
            email: Some(format!("{name}@example.com")),
            plan: Some("plus".to_owned()),
            fedramp: false,
        }
    }

    fn claims(&self) -> Value {
        let mut claims = json!({});
        let parts = [
            ("chatgpt_account_id", &self.account_id),
            ("chatgpt_user_id", &self.user_id),
            ("chatgpt_plan_type", &self.plan),
        ];
        for (name, part) in parts {
            if let Some(part) = part {
                claims[name] = json!(part);
            }
        }
        if self.fedramp {
            claims["chatgpt_account_is_fedramp"] = json!(true);
        }
        claims
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::named("device")
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IdTokenKind {
    Normal,
    /// Not in the reply at all. At a login it is minted all the same: a record needs one.
    Omit,
    Unparsable,
    /// Well formed, but says nothing about whose it is.
    Bare,
    OtherAccount,
    /// The same account, another user of it.
    OtherUser,
}

/// When a token was minted and how long it lives, by the issuer's own clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    pub(super) minted_ms: i64,
    pub(super) ttl_ms: u64,
}

impl Lifetime {
    pub(super) fn ends_ms(self) -> i64 {
        self.minted_ms.saturating_add_unsigned(self.ttl_ms)
    }
}

pub(super) fn access_token(
    account: &Account,
    kind: AccessTokenKind,
    lifetime: Lifetime,
    config: &Config,
) -> String {
    if kind == AccessTokenKind::Opaque {
        return format!("at_{}", random_text());
    }
    let stranger = Account::named("stranger");
    let account = if kind == AccessTokenKind::OtherAccount { &stranger } else { account };
    let mut claims = json!({ "jti": random_text(), AUTH_CLAIM: account.claims() });
    let unit = if kind == AccessTokenKind::JwtMs { 1000 } else { 1 };
    let time = |seconds: i64| json!((seconds + config.clock_offset_s) * unit);
    if config.access_iat {
        claims["iat"] = time(whole_seconds_before(lifetime.minted_ms));
    }
    if kind != AccessTokenKind::NoExp {
        claims["exp"] = time(whole_seconds_after(lifetime.ends_ms()));
    }
    jwt(&claims)
}

pub(super) fn id_token(account: &Account, kind: IdTokenKind, issuer: &str) -> String {
    let mut account = account.clone();
    match kind {
        IdTokenKind::Unparsable => return format!("not-a-jwt-{}", random_text()),
        IdTokenKind::Bare => return jwt(&json!({ "jti": random_text() })),
        IdTokenKind::OtherAccount => account = Account::named("stranger"),
        IdTokenKind::OtherUser => account.user_id = Some("user-stranger".to_owned()),
        IdTokenKind::Normal | IdTokenKind::Omit => {}
    }
    let mut claims = json!({
        "jti": random_text(),
        "iss": issuer,
        AUTH_CLAIM: account.claims(),
    });
    if let Some(email) = &account.email {
        claims["email"] = json!(email);
    }
    if let Some(user) = &account.user_id {
        claims["sub"] = json!(format!("auth0|{user}"));
    }
    jwt(&claims)
}

pub(super) fn refresh_token() -> String {
    format!("rt_{}", random_text())
}

/// 160 random bits that are safe in a URL.
pub(super) fn random_text() -> String {
    let mut bytes = [0; 20];
    SystemRandom::new().fill(&mut bytes).expect("the system's random source answers");
    URL_SAFE_NO_PAD.encode(bytes)
}

fn jwt(claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{header}.{claims}.{}", random_text())
}

fn whole_seconds_before(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

fn whole_seconds_after(ms: i64) -> i64 {
    ms.saturating_add(999).div_euclid(1000)
}
