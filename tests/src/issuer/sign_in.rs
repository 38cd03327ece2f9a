//! New logins: by device code, and by browser with PKCE. Both are approved at once.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::minting::random_text;
use super::realm::Realm;
use super::reply::{self, Reply};
use super::request::{Form, Request};
use super::token_endpoint::{bad_request, grant_reply};

/// Logins that were begun.
#[derive(Default)]
pub(super) struct SignIns {
    /// Polls that a device still has to make, by its id.
    devices: HashMap<String, u32>,
    /// The PKCE challenge of each authorization code.
    codes: HashMap<String, String>,
    count: usize,
}

pub(super) fn begin_device(realm: &Realm) -> Reply {
    let device = random_text();
    realm.update(|state| {
        let polls = state.config.device_pending_polls;
        state.sign_ins.devices.insert(device.clone(), polls);
    });
    let body = json!({ "device_auth_id": device, "user_code": "TEST-CODE", "interval": "1" });
    reply::json(200, &body)
}

pub(super) fn poll_device(realm: &Realm, form: &Form) -> Reply {
    let verifier = random_text() + &random_text();
    let challenge = challenge(&verifier);
    let code = random_text();
    let polls_left = realm.update(|state| {
        let polls = state.sign_ins.devices.get_mut(form.field("device_auth_id"))?;
        let left = *polls;
        *polls = left.saturating_sub(1);
        if left == 0 {
            let codes = &mut state.sign_ins.codes;
            codes.insert(code.clone(), challenge.clone());
        }
        Some(left)
    });
    match polls_left {
        None => bad_request(realm, "unknown_device"),
        Some(0) => reply::json(
            200,
            &json!({
                "authorization_code": code,
                "code_challenge": challenge,
                "code_verifier": verifier,
            }),
        ),
        Some(_) => reply::json(403, &json!({ "error": { "code": "authorization_pending" } })),
    }
}

/// The authorization page of a user who always agrees.
pub(super) fn authorize(realm: &Realm, request: &Request) -> Reply {
    let fields = request.query_fields();
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let code = random_text();
    let error = realm.update(|state| {
        let codes = &mut state.sign_ins.codes;
        codes.insert(code.clone(), field("code_challenge").to_owned());
        state.config.sign_in_error.clone()
    });
    match url::Url::parse(field("redirect_uri")) {
        Ok(mut back) => {
            let outcome = error.as_ref().map_or(("code", &code), |error| ("error", error));
            let answer =
                BTreeMap::from([(outcome.0, outcome.1.as_str()), ("state", field("state"))]);
            back.query_pairs_mut().extend_pairs(answer);
            reply::redirect(302, back.as_str())
        }
        Err(_) => bad_request(realm, "invalid_redirect_uri"),
    }
}

/// Turns an authorization code into a new login.
pub(super) fn redeem_code(realm: &Realm, form: &Form) -> Reply {
    let expected = challenge(form.field("code_verifier"));
    let granted = realm.update(|state| {
        let known = state.sign_ins.codes.remove(form.field("code"));
        if known != Some(expected) {
            return None;
        }
        state.counters.sign_ins += 1;
        let name = free_name(&mut state.sign_ins.count);
        let label = state.log_in_now(&name, state.config.account.clone());
        Some(grant_reply(state, &label))
    });
    granted.unwrap_or_else(|| bad_request(realm, "invalid_grant"))
}

/// A family's name has no digit at its end, so the number is closed by an underscore.
fn free_name(count: &mut usize) -> String {
    let name = format!("sign_in_{count}_");
    *count += 1;
    name
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}
