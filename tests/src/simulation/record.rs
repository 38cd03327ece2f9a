//! `auth.json` as text, and whose tokens are in it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use codex_auth_sdk::storage::{AuthDotJson, Fingerprint, InvalidRecord, Version};
use serde_json::{Value, json};

use super::ledger::{FamilyId, Ledger, PEOPLE, Pair, PairId, PersonId};

const AUTH_CLAIM: &str = "https://api.openai.com/auth";

/// The wall clock at the start.
pub(super) const START: i64 = 1_800_000_000;

/// The wall clock's time after `elapsed`.
pub(super) fn wall(elapsed: Duration) -> DateTime<Utc> {
    let start = DateTime::from_timestamp(START, 0).expect("a time");
    start + TimeDelta::from_std(elapsed).expect("not that long")
}

/// What the file holds.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) text: Arc<str>,
    pub(super) parsed: Result<Arc<AuthDotJson>, InvalidRecord>,
    pub(super) version: Version,
    /// Whose tokens these are; none where it holds no ChatGPT login.
    pub(super) owners: Option<Owners>,
}

/// The pairs that the tokens of a record belong to; none where nobody issued such a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owners {
    pub(super) refresh: Option<PairId>,
    pub(super) access: Option<PairId>,
    pub(super) id: Option<PairId>,
    /// Whether `account_id` is that of the tokens' login.
    pub(super) is_account_right: bool,
}

impl Owners {
    /// The pair of both tokens, if all that the record says belongs to one login.
    pub(super) fn pair(&self, ledger: &Ledger) -> Option<PairId> {
        let (refresh, access) = (self.line(ledger)?, self.access?);
        let is_pair = ledger.pairs[access].refresh == ledger.pairs[refresh].refresh;
        (is_pair && self.is_account_right).then_some(access)
    }

    /// The pair of the refresh token, if all tokens belong to one login, whatever account another
    /// program has given it.
    pub(super) fn line(&self, ledger: &Ledger) -> Option<PairId> {
        let (refresh, access, id) = (self.refresh?, self.access?, self.id?);
        let family = |pair: PairId| ledger.pairs[pair].family;
        (family(access) == family(refresh) && family(id) == family(refresh)).then_some(refresh)
    }
}

impl Content {
    pub(super) fn new(text: &str, ledger: &Ledger) -> Self {
        let parsed = AuthDotJson::parse(text.as_bytes()).map(Arc::new);
        let owners = parsed.as_ref().ok().and_then(|record| {
            let tokens = record.tokens.as_ref()?;
            let refresh = ledger.by_refresh(tokens.refresh_token.expose());
            let owner = refresh.map(|pair| PEOPLE[ledger.person(pair)]);
            let claimed = owner.and_then(|owner| owner.claimed_account);
            let account = tokens.account_id.as_deref().or(claimed);
            Some(Owners {
                refresh,
                access: ledger.by_access(tokens.access_token.expose()),
                id: ledger.by_id(tokens.id_token.expose()),
                is_account_right: account == owner.and_then(|owner| owner.account),
            })
        });
        let version = Version::named(&Fingerprint::of(text.as_bytes()).to_string());
        Self { text: text.into(), parsed, version, owners }
    }

    /// The pair of a login in good order.
    pub(super) fn pair(&self, ledger: &Ledger) -> Option<PairId> {
        self.owners?.pair(ledger)
    }

    /// The pair of the refresh token, if all tokens belong to one login.
    pub(super) fn line(&self, ledger: &Ledger) -> Option<PairId> {
        self.owners?.line(ledger)
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.text).ok()
    }
}

/// The record of a new login.
pub(super) fn of_login(ledger: &Ledger, pair: PairId, now: Duration) -> Value {
    let known = &ledger.pairs[pair];
    json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": known.id,
            "access_token": known.access,
            "refresh_token": known.refresh,
            "oauth_provenance": {"issuer": "https://issuer", "client_id": "app"},
            "account_id": PEOPLE[ledger.person(pair)].account,
            "from_the_future": [1.5, {"login": pair}],
        },
        "last_refresh": wall(now).to_rfc3339(),
        "of_another_program": {"login": pair},
    })
}

/// Puts the tokens of `pair` into `record` as the Codex CLI does: what it does not know is lost.
pub(super) fn rewritten(record: &Value, ledger: &Ledger, pair: PairId, now: Duration) -> Value {
    let known = &ledger.pairs[pair];
    json!({
        "auth_mode": record["auth_mode"],
        "OPENAI_API_KEY": record["OPENAI_API_KEY"],
        "tokens": {
            "id_token": known.id,
            "access_token": known.access,
            "refresh_token": known.refresh,
            "account_id": record["tokens"]["account_id"],
        },
        "last_refresh": wall(now).to_rfc3339(),
    })
}

/// `record` without what every refresh changes.
pub(super) fn untouched(mut record: Value) -> Value {
    let fields = record.as_object_mut();
    fields.and_then(|fields| fields.remove("last_refresh"));
    if let Some(tokens) = record.get_mut("tokens").and_then(Value::as_object_mut) {
        tokens.retain(|name, _| !["id_token", "access_token", "refresh_token"].contains(&&**name));
    }
    record
}

/// New tokens of `family`, which follow those of `previous`; with the same refresh token if that
/// is not rotated.
pub(super) fn mint(
    ledger: &mut Ledger,
    family: FamilyId,
    previous: Option<PairId>,
    (now, life): (Duration, Duration),
    rotates: bool,
) -> PairId {
    let number = ledger.pairs.len();
    let seconds = Duration::from_secs(now.as_secs());
    let start = START - ledger.ahead;
    let at = |time: Duration| start + i64::try_from(time.as_secs()).expect("not that long");
    let (issued, expires) = (seconds, seconds + life);
    let person: PersonId = ledger.families[family].person;
    let owner = PEOPLE[person];
    let mut claims = json!({"jti": format!("id-{number}")});
    if let Some(user) = owner.user {
        claims["iss"] = json!("https://issuer");
        claims["sub"] = json!(user);
        claims[AUTH_CLAIM] =
            json!({"chatgpt_account_id": owner.claimed_account, "chatgpt_user_id": user});
    }
    let access = json!({"iat": at(issued), "exp": at(expires), "jti": format!("at-{number}")});
    let before = previous.map(|pair| &ledger.pairs[pair]);
    let kept = before.filter(|_| !rotates).map(|pair| pair.refresh.clone());
    let pair = Pair {
        family,
        generation: before.map_or(0, |pair| pair.generation + 1),
        refresh: kept.unwrap_or_else(|| format!("rt-{number}")),
        access: jwt(&access),
        id: jwt(&claims),
        asked: issued,
        issued,
        expires,
        is_killed: false,
        is_rejected: false,
        granted_to: None,
        holder: None,
        delivered: (0, issued),
        is_orphan: false,
        is_put_aside: false,
        stored: None,
        displaced_by: None,
        spent: None,
        refusals: Vec::new(),
    };
    ledger.add_pair(pair)
}

fn jwt(claims: &Value) -> String {
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
}
