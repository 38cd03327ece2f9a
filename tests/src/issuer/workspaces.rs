//! The workspaces of a user: which there are, and an access token for another one. The Codex CLI asks
//! for both when its user switches.

use serde_json::{Value, json};

use super::faults::ErrorReply;
use super::realm::Realm;
use super::reply::{self, Reply};
use super::request::Request;
use super::state::State;

/// Lists the workspaces of the bearer's user. Each login with this user is one.
pub(super) fn list(realm: &Realm, request: &Request) -> Reply {
    let bearer = request.bearer().unwrap_or_default();
    let listed = realm.read(|state| {
        let (_, own) = state.check_access(bearer)?;
        let of_user = state.families().filter(|family| family.account.user_id == own.user_id);
        let workspaces: Vec<Value> = of_user
            .map(|family| {
                json!({
                    "id": family.account.account_id,
                    "name": family.account.account_id,
                    "structure": "workspace",
                    "can_access_with_session": true,
                    "workspace_backend_origin": "https://localhost",
                    "account_routing_override": "NO_CONSTRAINT",
                })
            })
            .collect();
        Ok(json!({ "accounts": workspaces, "default_account_id": own.account_id }))
    });
    answer(listed)
}

/// Answers with the newest access token of the workspace that `workspace_id` names.
pub(super) fn switch(realm: &Realm, request: &Request) -> Reply {
    let bearer = request.bearer().unwrap_or_default();
    let form = request.form();
    let token = realm.read(|state| token_of(state, bearer, form.field("workspace_id")));
    answer(token.map(|token| json!({ "access_token": token })))
}

fn token_of(state: &State, bearer: &str, workspace: &str) -> Result<String, &'static str> {
    let (_, own) = state.check_access(bearer)?;
    let mut families = state.families();
    let wanted = families.find(|family| {
        let account = &family.account;
        account.user_id == own.user_id && account.account_id.as_deref() == Some(workspace)
    });
    let newest = wanted.and_then(|family| family.newest()).ok_or("workspace_unknown")?;
    Ok(newest.access.text.clone())
}

fn answer(answer: Result<Value, &'static str>) -> Reply {
    match answer {
        Ok(value) => reply::json(200, &value),
        Err(code) => ErrorReply::refusal(code).reply(),
    }
}
