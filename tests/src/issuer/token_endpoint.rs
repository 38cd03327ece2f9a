//! `POST /oauth/token`: grants and refusals, in time or late, whole or broken. `HEAD` gets the date.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use hyper::header::DATE;
use serde_json::{Value, json};

use super::config::{ReplyCoding, UnrotatedReply};
use super::faults::{self, ErrorReply, Fault};
use super::gate::HoldPoint;
use super::labels::Label;
use super::minting::IdTokenKind;
use super::realm::Realm;
use super::reply::{self, Dropped, Reply};
use super::request::{Form, Request};
use super::sign_in;
use super::state::{Redemption, State};
use super::stats::Ending;

pub(super) async fn token(realm: &Arc<Realm>, request: &Request) -> Result<Reply, Dropped> {
    let reply = undated(realm, request).await?;
    let ahead = realm.read(|state| TimeDelta::seconds(state.config.clock_offset_s));
    let now = (Utc::now() + ahead).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Ok(reply::with_header(reply, DATE, &now))
}

async fn undated(realm: &Arc<Realm>, request: &Request) -> Result<Reply, Dropped> {
    let form = request.form();
    match form.field("grant_type") {
        _ if !is_known_client(realm, &form) => Ok(bad_request(realm, "invalid_client")),
        "refresh_token" => refresh(realm, &form, request.client()).await,
        "authorization_code" => Ok(sign_in::redeem_code(realm, &form)),
        _ => Ok(bad_request(realm, "unsupported_grant_type")),
    }
}

pub(super) fn is_known_client(realm: &Realm, form: &Form) -> bool {
    realm.read(|state| {
        let expected = state.config.client_id.as_deref();
        expected.is_none_or(|expected| expected == form.field("client_id"))
    })
}

/// What a grant of the pair `label` says to its client.
fn grant_body(state: &State, label: &Label) -> Value {
    let config = &state.config;
    let Some(pair) = state.pair(label) else {
        return json!({});
    };
    let mut body = json!({
        "access_token": pair.access.text,
        "expires_in": config.access_ttl_ms / 1000,
        "scope": "openid profile email offline_access",
        "token_type": "Bearer",
    });
    if config.reply_id_token != IdTokenKind::Omit {
        body["id_token"] = json!(pair.id_text);
    }
    match config.reply_refresh_token {
        UnrotatedReply::Omit if !config.rotate => {}
        UnrotatedReply::Empty if !config.rotate => body["refresh_token"] = json!(""),
        _ => body["refresh_token"] = json!(pair.refresh.text),
    }
    body
}

/// The reply that grants the pair `label`.
pub(super) fn grant_reply(state: &State, label: &Label) -> Reply {
    let body = grant_body(state, label);
    match state.config.reply_coding {
        ReplyCoding::Identity => reply::json(200, &body),
        ReplyCoding::Gzip => reply::gzipped(200, &body),
    }
}

struct Answer {
    reply: Result<Reply, Dropped>,
    ending: Ending,
}

/// One presentation of a refresh token, as its client sees it: one that leaves before the answer
/// is in doubt.
struct Presentation<'a> {
    realm: &'a Realm,
    token: String,
    ending: Ending,
}

impl<'a> Presentation<'a> {
    fn new(realm: &'a Realm, token: String, encoding: &'static str) -> Self {
        realm.update(|state| state.counters.arrived(&token, encoding));
        Self { realm, token, ending: Ending::Unclear }
    }
}

impl Drop for Presentation<'_> {
    fn drop(&mut self) {
        let (token, ending) = (&self.token, self.ending);
        self.realm.update(|state| state.counters.ended(token, ending));
    }
}

async fn refresh(realm: &Arc<Realm>, form: &Form, client: &str) -> Result<Reply, Dropped> {
    let token = form.field("refresh_token").to_owned();
    if token.is_empty() {
        return Ok(bad_request(realm, "invalid_request"));
    }
    let label = realm.read(|state| {
        let name = state.name_of(&token);
        name.map_or_else(|| "unknown".to_owned(), |name| name.label.to_string())
    });
    let mut presentation = Presentation::new(realm, label.clone(), form.encoding);
    // As on a real server, the exchange goes on when its client has gone away.
    let answer = tokio::spawn(exchange(Arc::clone(realm), token, label)).await;
    let answer = answer.map_err(|_| Dropped)?;
    presentation.ending = answer.ending;
    if matches!(answer.ending, Ending::Delivered | Ending::DeliveredUnrotated) {
        let client = client.to_owned();
        realm.update(|state| *state.counters.redeemers.entry(client).or_default() += 1);
    }
    answer.reply
}

async fn exchange(realm: Arc<Realm>, token: String, label: String) -> Answer {
    realm.pass_gate(HoldPoint::Arrival, &label).await;
    let answer = match realm.update(|state| faults::take(&mut state.faults, &label)) {
        Some(fault) => fail(&realm, &token, &fault).await,
        None => redeem(&realm, &token).await,
    };
    realm.pass_gate(HoldPoint::Reply, &label).await;
    answer
}

async fn redeem(realm: &Realm, token: &str) -> Answer {
    let early = realm.update(|state| match state.config.spend_at_end {
        true => state.judge(token),
        false => redeem_and_count(state, token),
    });
    pause(realm, &early).await;
    realm.update(|state| {
        let redemption = match state.config.spend_at_end {
            true => redeem_and_count(state, token),
            false => early,
        };
        answer(state, &redemption)
    })
}

async fn fail(realm: &Realm, token: &str, fault: &Fault) -> Answer {
    let redemption = realm.update(|state| {
        *state.counters.faults.entry(fault.name()).or_default() += 1;
        fault.spend.then(|| redeem_and_count(state, token))
    });
    if let Some(redemption) = &redemption {
        pause(realm, redemption).await;
    }
    let honest = match &redemption {
        Some(Redemption::Granted(label) | Redemption::GrantedAgain(label)) => {
            realm.read(|state| grant_body(state, label))
        }
        _ => json!({ "access_token": "there is no token in here" }),
    };
    Answer {
        reply: fault.reply(&honest, &format!("{}/oauth/stolen", realm.url)),
        ending: if fault.is_clear() { Ending::Declined } else { Ending::Unclear },
    }
}

fn redeem_and_count(state: &mut State, token: &str) -> Redemption {
    let redemption = state.redeem(token);
    match &redemption {
        Redemption::Granted(_) => state.counters.grants += 1,
        Redemption::GrantedAgain(_) => state.counters.regrants += 1,
        Redemption::Refused(code) => {
            *state.counters.refusals.entry((*code).to_owned()).or_default() += 1;
        }
    }
    redemption
}

fn answer(state: &State, redemption: &Redemption) -> Answer {
    match redemption {
        Redemption::Granted(label) | Redemption::GrantedAgain(label) => Answer {
            reply: Ok(grant_reply(state, label)),
            ending: if state.config.rotate {
                Ending::Delivered
            } else {
                Ending::DeliveredUnrotated
            },
        },
        Redemption::Refused(code) => {
            Answer { reply: Ok(refusal(state, code)), ending: Ending::Refused }
        }
    }
}

fn refusal(state: &State, code: &str) -> Reply {
    match &state.config.refusal {
        Some(other) => other.reply(),
        None => ErrorReply::refusal(code).reply(),
    }
}

async fn pause(realm: &Realm, redemption: &Redemption) {
    let ms = realm.read(|state| match redemption {
        Redemption::Refused(_) => state.config.refusal_latency_ms,
        _ => state.config.grant_latency_ms,
    });
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

pub(super) fn bad_request(realm: &Realm, code: &str) -> Reply {
    realm.update(|state| state.counters.bad_requests += 1);
    let reply = ErrorReply { status: 400, ..ErrorReply::refusal(code) };
    reply.reply()
}
