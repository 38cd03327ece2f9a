//! The control API: what a test tells the issuer and asks of it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::config::{AccessTokenKind, Config};
use super::faults::Fault;
use super::gate::Hold;
use super::labels::{Label, TokenKind, TokenName, is_family_name};
use super::matcher::mismatches;
use super::minting::{Account, IdTokenKind, Lifetime};
use super::questions;
use super::realm::Realm;
use super::records;
use super::state::{EXPIRED, FirstPair, INVALIDATED, Redemption, State, now_ms};
use super::stats::stats;

/// Runs one call. The error is a text for the author of the test.
pub(super) async fn call(realm: &Realm, name: &str, arguments: Value) -> Result<Value, String> {
    match name {
        "reset" => reset(realm, arguments),
        "configure" => configure(realm, arguments),
        "login" => realm.update(|state| login(state, parse(arguments)?)),
        "rotate" => realm.update(|state| rotate(state, &parse(arguments)?)),
        "kill_access" => realm.update(|state| kill_access(state, &parse(arguments)?)),
        "expire_refresh" => realm.update(|state| refuse(state, &parse(arguments)?, EXPIRED)),
        "invalidate_refresh" => {
            realm.update(|state| refuse(state, &parse(arguments)?, INVALIDATED))
        }
        "revoke_family" => realm.update(|state| revoke_family(state, &parse(arguments)?)),
        "faults" => realm.update(|state| add_faults(state, arguments)),
        "clear_faults" => realm.update(clear_faults),
        "hold" => realm.update(|state| hold(state, parse(arguments)?)),
        "release" => realm.update(|state| release(state, &parse(arguments)?)),
        "wait" => wait(realm, parse(arguments)?).await,
        "mark" => realm.update(|state| mark(state, parse(arguments)?)),
        "stats" => Ok(realm.read(stats)),
        "live" => realm.read(|state| questions::live(state, &parse(arguments)?)),
        "store_text" => realm.read(|state| questions::store_text(state, parse(arguments)?)),
        "inspect" => realm.read(|state| questions::inspect(state, &parse(arguments)?)),
        "check" => realm.read(|state| questions::check(state, parse(arguments)?)),
        "check_request" => realm.read(|state| questions::check_request(state, parse(arguments)?)),
        "check_store" => realm.read(|state| questions::check_store(state, &parse(arguments)?)),
        "finish" => realm.read(|state| questions::finish(state, &parse(arguments)?)),
        "leaks" => realm.read(|state| questions::leaks(state, &parse(arguments)?)),
        _ => Err(format!("there is no control call {name:?}")),
    }
}

/// The realm as a test wants it at the start: configuration, then logins.
pub(super) fn prepare(realm: &Realm, arguments: Value) -> Result<Value, String> {
    #[derive(Deserialize)]
    #[serde(default, deny_unknown_fields)]
    #[derive(Default)]
    struct Start {
        config: Map<String, Value>,
        logins: Map<String, Value>,
        faults: Vec<Value>,
    }
    let start: Start = parse(arguments)?;
    realm.reset(patched(&Config::default(), start.config)?);
    realm.update(|state| {
        let mut logins = Map::new();
        for (name, options) in start.logins {
            let mut options: Login = parse(options)?;
            options.name = Some(name.clone());
            logins.insert(name, login(state, options)?);
        }
        add_faults(state, Value::Array(start.faults))?;
        Ok(json!({ "logins": logins }))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    account_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    user_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    plan: Option<Option<String>>,
    #[serde(default)]
    fedramp: bool,
    /// How long ago the pair was minted; more than its life makes it an expired one.
    #[serde(default = "five_minutes")]
    access_age_s: i64,
    access_ttl_ms: Option<u64>,
    access_token: Option<AccessTokenKind>,
    id_token: Option<IdTokenKind>,
}

/// A token by its name (`refresh:a0`), its label where the kind is plain (`a0`), or itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenArgument {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionalToken {
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    count: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    until: Value,
    #[serde(default = "ten_seconds")]
    timeout_ms: u64,
}

fn reset(realm: &Realm, arguments: Value) -> Result<Value, String> {
    realm.reset(patched(&Config::default(), parse(arguments)?)?);
    Ok(json!({}))
}

fn configure(realm: &Realm, arguments: Value) -> Result<Value, String> {
    realm.update(|state| {
        state.config = patched(&state.config, parse(arguments)?)?;
        Ok(json!({}))
    })
}

fn login(state: &mut State, options: Login) -> Result<Value, String> {
    let name = options.name.as_deref().unwrap_or_default();
    if !is_family_name(name) || state.family(name).is_some() {
        return Err(format!("{name:?} cannot be the name of a new login"));
    }
    let usual = Account::named(name);
    let account = Account {
        account_id: options.account_id.unwrap_or(usual.account_id),
        user_id: options.user_id.unwrap_or(usual.user_id),
        email: options.email.unwrap_or(usual.email),
        plan: options.plan.unwrap_or(usual.plan),
        fedramp: options.fedramp,
    };
    let first = FirstPair {
        lifetime: Lifetime {
            minted_ms: now_ms() - options.access_age_s * 1000,
            ttl_ms: options.access_ttl_ms.unwrap_or(state.config.access_ttl_ms),
        },
        access_token: options.access_token.unwrap_or(state.config.access_token),
        id_token: options.id_token.unwrap_or(IdTokenKind::Normal),
    };
    let label = state.log_in(name, account, &first);
    Ok(described(state, &label))
}

/// Redeems a refresh token as a program would that is not under test.
fn rotate(state: &mut State, argument: &TokenArgument) -> Result<Value, String> {
    let (_, text) = token(state, &argument.token, TokenKind::Refresh)?;
    match state.redeem(&text) {
        Redemption::Granted(label) | Redemption::GrantedAgain(label) => {
            state.counters.foreign_grants += 1;
            Ok(described(state, &label))
        }
        Redemption::Refused(code) => Ok(json!({ "refused": code })),
    }
}

fn kill_access(state: &mut State, argument: &OptionalToken) -> Result<Value, String> {
    let killed = match &argument.token {
        Some(name) => Some(token(state, name, TokenKind::Access)?.0),
        None => None,
    };
    match killed {
        Some(name) => {
            if let Some(pair) = state.pair_mut(&name.label) {
                pair.access.revoked = true;
            }
        }
        None => state.all_pairs_mut().for_each(|pair| pair.access.revoked = true),
    }
    Ok(json!({}))
}

fn refuse(
    state: &mut State,
    argument: &TokenArgument,
    code: &'static str,
) -> Result<Value, String> {
    let (name, _) = token(state, &argument.token, TokenKind::Refresh)?;
    if let Some(pair) = state.pair_mut(&name.label) {
        pair.refresh.refusal = Some(code);
    }
    Ok(json!({}))
}

fn revoke_family(state: &mut State, argument: &TokenArgument) -> Result<Value, String> {
    let (_, text) = token(state, &argument.token, TokenKind::Refresh)?;
    state.revoke_family_of(&text);
    Ok(json!({}))
}

/// Takes one fault or a list of them.
fn add_faults(state: &mut State, arguments: Value) -> Result<Value, String> {
    let faults = match arguments {
        Value::Array(faults) => faults,
        fault => vec![fault],
    };
    for fault in faults {
        let fault: Fault = parse(fault)?;
        state.faults.push(fault);
    }
    Ok(json!({}))
}

fn clear_faults(state: &mut State) -> Result<Value, String> {
    state.faults.clear();
    Ok(json!({}))
}

fn hold(state: &mut State, hold: Hold) -> Result<Value, String> {
    state.gate.add(hold);
    Ok(json!({}))
}

fn release(state: &mut State, release: &Release) -> Result<Value, String> {
    state.gate.release(release.count);
    Ok(json!({}))
}

async fn wait(realm: &Realm, wait: Wait) -> Result<Value, String> {
    let reached = realm.wait_until(|state| mismatches(&stats(state), &wait.until).is_empty());
    let limit = Duration::from_millis(wait.timeout_ms);
    let in_time = tokio::time::timeout(limit, reached).await.is_ok();
    let stats = realm.read(stats);
    if in_time {
        Ok(stats)
    } else {
        let missing = mismatches(&stats, &wait.until).join("; ");
        Err(format!("waited {} ms in vain: {missing}", wait.timeout_ms))
    }
}

fn mark(state: &mut State, mark: Mark) -> Result<Value, String> {
    *state.counters.marks.entry(mark.name).or_default() += 1;
    Ok(json!({}))
}

fn described(state: &State, label: &Label) -> Value {
    let record = records::record(state, label).unwrap_or_default();
    json!({
        "label": label.to_string(),
        "text": records::written(&record, false),
        "record": record,
    })
}

fn token(state: &State, text: &str, kind: TokenKind) -> Result<(TokenName, String), String> {
    let labelled = || Label::parse(text).map(|label| TokenName { kind, label });
    let name = state
        .name_of(text)
        .or_else(|| TokenName::parse(text))
        .or_else(labelled)
        .filter(|name| name.kind == kind);
    let found = name.and_then(|name| {
        let text = state.text_of(&name)?.to_owned();
        Some((name, text))
    });
    found.ok_or_else(|| "there is no such token".to_owned())
}

fn patched(config: &Config, patch: Map<String, Value>) -> Result<Config, String> {
    config.patched(patch).map_err(|error| error.to_string())
}

fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_json::from_value(arguments).map_err(|error| error.to_string())
}

/// Tells a null that was given from a field that was not.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn five_minutes() -> i64 {
    300
}

fn ten_seconds() -> u64 {
    10_000
}
