//! The protected API, revocation, and the place where no token must ever arrive.

use serde_json::json;

use super::config::RevokeBehaviour;
use super::faults::ErrorReply;
use super::realm::Realm;
use super::reply::{self, Reply};
use super::request::Request;
use super::token_endpoint;

/// A stream that satisfies the Codex CLI: one message, then the end.
const RESPONSE_STREAM: &str = concat!(
    "event: response.created\n",
    "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_test\"}}\n\n",
    "event: response.output_item.done\n",
    "data: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",",
    "\"role\":\"assistant\",\"id\":\"msg_test\",",
    "\"content\":[{\"type\":\"output_text\",\"text\":\"hi\"}]}}\n\n",
    "event: response.completed\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_test\",\"usage\":",
    "{\"input_tokens\":0,\"input_tokens_details\":null,\"output_tokens\":0,",
    "\"output_tokens_details\":null,\"total_tokens\":0}}}\n\n",
);

/// Answers any path of the API, most of them to a live access token only.
pub(super) fn api(realm: &Realm, request: &Request) -> Reply {
    if request.path.starts_with("/api/") {
        note(realm, request);
    }
    match request.path.as_str() {
        "/api/open" => reply::json(200, &json!({})),
        "/api/redirect" => redirect(realm, request),
        _ => protected(realm, request),
    }
}

/// Keeps what was sent, for tests of what is sent where.
fn note(realm: &Realm, request: &Request) {
    realm.update(|state| {
        let authorization = match (request.header("authorization"), request.bearer()) {
            (None, _) => "none".to_owned(),
            (_, bearer) => bearer
                .and_then(|bearer| state.name_of(bearer))
                .map_or_else(|| "other".to_owned(), |name| name.to_string()),
        };
        let host = request.header("host").unwrap_or_default();
        state.counters.seen.push(json!({
            "host": host.split(':').next(),
            "path": request.path,
            "authorization": authorization,
            "account": request.header("chatgpt-account-id"),
            "body": String::from_utf8_lossy(&request.body),
        }));
    });
}

/// `/api/redirect?to=PATH` leads there; with `host=other` at this server's other name, which is
/// another origin.
fn redirect(realm: &Realm, request: &Request) -> Reply {
    let query = request.query_fields();
    let is_other = query.get("host").is_some_and(|host| host == "other");
    let base =
        if is_other { realm.url.replace("127.0.0.1", "localhost") } else { realm.url.clone() };
    let path = query.get("to").map_or("/api/open", String::as_str);
    reply::redirect(307, &format!("{base}{path}"))
}

/// Answers a live access token, or 401.
fn protected(realm: &Realm, request: &Request) -> Reply {
    let bearer = request.bearer().unwrap_or_default();
    let me = realm.update(|state| {
        let checked = state.check_access(bearer).map(|(label, account)| {
            let named = request.header("chatgpt-account-id");
            let me = json!({
                "account_id": account.account_id,
                "user_id": account.user_id,
                "generation": label.generation,
                "token": format!("access:{label}"),
                "account_header": named,
            });
            (me, named.is_some() && named != account.account_id.as_deref())
        });
        let counters = &mut state.counters;
        let tally = counters.api.entry(request.client().to_owned()).or_default();
        match &checked {
            Ok((_, wrong_account)) => {
                tally.ok += 1;
                counters.api_wrong_account += u64::from(*wrong_account);
            }
            Err(_) => tally.unauthorized += 1,
        }
        checked.map(|(me, _)| me)
    });
    match me {
        Err(code) => ErrorReply::refusal(code).reply(),
        Ok(me) if request.path == "/api/me" => reply::json(200, &me),
        Ok(_) if request.path == "/api/echo" => {
            reply::text(200, "text/plain", request.body.clone())
        }
        Ok(_) if request.path == "/api/forbidden" => {
            reply::json(403, &json!({"error": "forbidden"}))
        }
        Ok(_) if request.path == "/v1/responses" => {
            reply::text(200, "text/event-stream", RESPONSE_STREAM)
        }
        Ok(_) => reply::json(200, &json!({})),
    }
}

/// Ends the whole family of a token.
pub(super) async fn revoke(realm: &Realm, request: &Request) -> Reply {
    let form = request.form();
    let token = form.field("token");
    if !token_endpoint::is_known_client(realm, &form) {
        return token_endpoint::bad_request(realm, "invalid_client");
    }
    let behaviour = realm.update(|state| {
        let name = state.name_of(token);
        let name = name.map_or_else(|| "unknown".to_owned(), |name| name.to_string());
        state.counters.revocations.push(name);
        if state.config.revoke == RevokeBehaviour::Ok {
            state.revoke_family_of(token);
        }
        state.config.revoke
    });
    match behaviour {
        RevokeBehaviour::Ok => reply::json(200, &json!({})),
        RevokeBehaviour::Fail => reply::json(500, &json!({ "error": "server_error" })),
        RevokeBehaviour::Hang => std::future::pending().await,
    }
}

/// Where a redirect leads: counts every request that brings a token along.
pub(super) fn stolen(realm: &Realm, request: &Request) -> Reply {
    let mut seen = String::from_utf8_lossy(&request.body).into_owned();
    seen.push_str(request.bearer().unwrap_or_default());
    seen.push_str(&request.query);
    realm.update(|state| {
        let found = state.all_tokens().any(|(text, _)| seen.contains(text));
        state.counters.stolen += u64::from(found);
    });
    reply::json(200, &json!({}))
}
