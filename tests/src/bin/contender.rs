//! One of many processes that share a login: on every line of standard input it makes one request
//! of the protected API, recovers from 401 if it must, and says how that went in one line of JSON;
//! on the line `read` it reads the login again and again instead, on `close` it waits until all is
//! saved, on `logout` it signs out.
//! Usage: `contender CODEX_HOME ISSUER_URL CLIENT [OPTIONS]`; `OPTIONS` is a JSON object of options of
//! the manager (see `tests/README.md`).

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use codex_auth_sdk::{AuthManager, CodexAuth, Events, LogoutOptions, UnauthorizedRecoveryDecision};
use codex_auth_tests::issuer::Realm;
use codex_auth_tests::options::with_option;
use serde_json::{Map, Value, json};
use tokio::runtime::Builder;
use tokio::time::timeout;

/// As long as the others' runners wait for anything.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Rounds of readings for one line.
const READS: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, url, client, options @ ..] = arguments.as_slice() else {
        return Err("usage: contender CODEX_HOME ISSUER_URL CLIENT [OPTIONS]".into());
    };
    let options: Map<String, Value> =
        options.first().map_or(Ok(Map::new()), |text| serde_json::from_str(text))?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let realm = Realm::at(url)?;
    let mut builder = AuthManager::builder()
        .codex_home(home)
        .token_url(format!("{url}/oauth/token"))
        .originator(client.as_str());
    for (name, value) in &options {
        builder = with_option(builder, name, value)?;
    }
    let manager = match runtime.block_on(builder.build()) {
        Ok(manager) => manager,
        Err(error) => return Ok(say(&failure(&error))?),
    };
    let mut events = manager.subscribe();
    say(&json!({"ready": true}))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut answer = runtime.block_on(async {
            let answer = match line.as_str() {
                "read" => read(&manager).await,
                "close" => Ok(json!({"closed": manager.close(CLOSE_TIMEOUT).await})),
                "logout" => log_out(&manager).await,
                _ => request(&manager, &realm).await,
            };
            answer.unwrap_or_else(|error| failure(&error))
        });
        answer["pending_save"] = manager.pending_save().into();
        answer["events"] = runtime.block_on(unread(&mut events)).into();
        say(&answer)?;
    }
    Ok(())
}

/// One request, with at most two retries.
async fn request(manager: &AuthManager, realm: &Realm) -> codex_auth_sdk::Result<Value> {
    let recovery = manager.unauthorized_recovery();
    let mut unauthorized = 0;
    loop {
        let Some(auth) = manager.fresh_auth().await? else {
            return Ok(json!({"error": "logged_out"}));
        };
        let status = call_api(&auth, realm)?;
        if status != 401 {
            return Ok(json!({"status": status, "unauthorized": unauthorized}));
        }
        unauthorized += 1;
        match manager.recover_from_unauthorized(&auth, &recovery).await? {
            UnauthorizedRecoveryDecision::Retry => {}
            decision => return Ok(json!({"error": format!("{decision:?}")})),
        }
    }
}

/// Many readings of the store, of every kind, until one does not find the login.
async fn read(manager: &AuthManager) -> codex_auth_sdk::Result<Value> {
    for _ in 0..READS {
        manager.reload().await?;
        let Some(auth) = manager.fresh_auth().await? else {
            return Ok(json!({"error": "logged_out"}));
        };
        let kind = manager.sync_from_storage(&auth).await?.kind();
        if kind != "applied" {
            return Ok(json!({"error": kind}));
        }
    }
    Ok(json!({"reads": 2 * READS}))
}

async fn log_out(manager: &AuthManager) -> codex_auth_sdk::Result<Value> {
    let outcome = manager.logout(LogoutOptions::default()).await?;
    Ok(json!({"removed": outcome.removed, "revoked": outcome.revoked}))
}

fn call_api(auth: &CodexAuth, realm: &Realm) -> codex_auth_sdk::Result<u16> {
    let headers = auth.headers()?;
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.expose())).collect();
    let reply = realm.exchange("GET", "/api/me", "text/plain", &lines, "");
    Ok(reply.map_or(0, |reply| reply.status))
}

/// The names of the events that were sent since this was last asked.
async fn unread(events: &mut Events) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        names.push(event.kind());
    }
    names
}

fn failure(error: &codex_auth_sdk::Error) -> Value {
    json!({"error": error.code(), "message": error.to_string()})
}

fn say(line: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
