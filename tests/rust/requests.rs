//! Runs the shared cases of HTTP integrations (`requests.json`) with every client of this crate, over
//! real sockets; `tests/README.md` describes them.

use std::path::Path;
use std::sync::Arc;

use codex_auth_sdk::{AuthClient, AuthManager, AuthMiddleware, MANAGED_API_KEY, RequestError};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::log::Log;
use http_body_util::Full;
use hyper::body::Bytes;
use libtest_mimic::{Arguments, Failed, Trial};
use reqwest::header::AUTHORIZATION;
use reqwest::{Body, Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Client,
    Middleware,
}

enum Sender {
    Client(AuthClient),
    Middleware(reqwest_middleware::ClientWithMiddleware),
}

impl Sender {
    fn new(kind: Kind, manager: AuthManager) -> Self {
        // A proxy of the machine's own must not come in between.
        let builder = AuthClient::http_builder().expect("TLS").no_proxy();
        match kind {
            Kind::Client => {
                Self::Client(AuthClient::with_builder(manager, builder).expect("a client"))
            }
            Kind::Middleware => {
                let http = builder.build().expect("a client");
                let chain = reqwest_middleware::ClientBuilder::new(http);
                Self::Middleware(chain.with(AuthMiddleware::new(manager)).build())
            }
        }
    }

    async fn send(&self, request: Request) -> Result<Response, RequestError> {
        match self {
            // On another task, as programs do: what is sent can be.
            Self::Client(client) => {
                let client = client.clone();
                tokio::spawn(async move { client.execute(request).await }).await.expect("no panic")
            }
            Self::Middleware(client) => {
                client.execute(request).await.map_err(|error| match error {
                    reqwest_middleware::Error::Reqwest(error) => RequestError::Http(error),
                    reqwest_middleware::Error::Middleware(error) => error.downcast().expect("ours"),
                })
            }
        }
    }
}

fn main() {
    let log = Log::of_everything();
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let issuer = Arc::new(Issuer::start().expect("an issuer"));
    let trials = cases().into_iter().chain([redirected_post()]).flat_map(|case| {
        let (runtime, issuer, log) = (Arc::clone(&runtime), Arc::clone(&issuer), log.clone());
        [Kind::Client, Kind::Middleware].map(move |kind| {
            let name = format!("{}::{kind:?}", case["name"].as_str().expect("a name"));
            let (case, runtime, issuer, log) =
                (case.clone(), Arc::clone(&runtime), Arc::clone(&issuer), log.clone());
            let realm = name.replace("::", "-");
            Trial::test(name, move || {
                let run = run(&issuer, &realm, &case, kind, &log);
                runtime.block_on(run).map_err(Failed::from)
            })
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

async fn run(
    issuer: &Issuer,
    name: &str,
    case: &Value,
    kind: Kind,
    log: &Log,
) -> Result<(), String> {
    let realm = issuer.realm(name);
    let home = prepare(issuer, &realm, name, case).await;
    let manager = AuthManager::builder()
        .codex_home(home.path())
        .token_url(format!("{}/oauth/token", realm.url()))
        .allowed_origins(vec![realm.origin()]);
    let manager = manager.build().await.expect("a manager");
    let sender = Sender::new(kind, manager.clone());
    if case.get("first").is_some() {
        drop(sender.send(request(&realm, &case["first"])).await);
    }
    let sent = sender.send(request(&realm, &case["request"])).await;
    let output = format!("{sent:?} {manager:?} {}", log.text());
    let leaks = realm.call_async("leaks", json!({"text": output})).await;
    let checked = json!({"actual": observed(sent).await, "expect": case["expect"]});
    let checked = realm.call_async("check_request", checked).await;
    match (&leaks["leaks"], &checked["mismatches"]) {
        (Value::Array(leaks), Value::Array(found)) if leaks.is_empty() && found.is_empty() => {
            Ok(())
        }
        _ => Err(format!("{leaks} {checked}")),
    }
}

/// A realm as the case wants it, and a home with its login.
async fn prepare(issuer: &Issuer, realm: &Realm, name: &str, case: &Value) -> TempDir {
    let is_signed_in = !case.get("login").is_some_and(Value::is_null);
    let login = case.get("login").cloned().unwrap_or_else(|| json!({}));
    let logins = if is_signed_in { json!({"a": login}) } else { json!({}) };
    let config = case.get("issuer").cloned().unwrap_or_else(|| json!({}));
    let start = json!({"name": name, "config": config, "logins": logins});
    let start = issuer.realm("").call_async("realms", start).await;
    let home = tempfile::tempdir().expect("a folder");
    if let Some(text) = start["logins"]["a"]["text"].as_str() {
        std::fs::write(home.path().join("auth.json"), text).expect("written");
    }
    for call in case["before"].as_array().into_iter().flatten() {
        let mut arguments = call.clone();
        let call = arguments.as_object_mut().expect("a call").remove("call").expect("its name");
        drop(realm.call_async(call.as_str().expect("a name"), arguments).await);
    }
    home
}

fn request(realm: &Realm, wanted: &Value) -> Request {
    let text = |name: &str| wanted[name].as_str();
    let base = match text("host") {
        Some(host) => realm.url().replace("127.0.0.1", host),
        None => realm.url(),
    };
    let url = format!("{base}{}", text("path").expect("a path"));
    let method = text("method").unwrap_or("GET").parse().expect("a method");
    let mut request = Request::new(method, url.parse().expect("a URL"));
    if let Some(authorization) = text("authorization") {
        let value = authorization.replace("{placeholder}", MANAGED_API_KEY);
        let value = value.parse().expect("a header's value");
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    if let Some(body) = text("body") {
        let body = body.to_owned();
        let streamed = wanted["streamed"] == true;
        let body = if streamed { streaming(body) } else { Body::from(body) };
        *request.body_mut() = Some(body);
    }
    request
}

/// A body that can be sent once only.
fn streaming(text: String) -> Body {
    Body::wrap(Full::<Bytes>::from(text))
}

async fn observed(sent: Result<Response, RequestError>) -> Value {
    match sent {
        Ok(response) => {
            let status = response.status().as_u16();
            json!({"status": status, "text": response.text().await.expect("a body")})
        }
        Err(RequestError::Auth { error, response }) => {
            let status = response.map(|response| response.status().as_u16());
            json!({"error": {"code": error.code()}, "error_status": status})
        }
        Err(error) => json!({"error": {"code": error.to_string()}}),
    }
}

/// `reqwest` follows redirects by itself, and does not tell what it has sent to where one led: a POST
/// that has led somewhere may have been done.
fn redirected_post() -> Value {
    json!({
        "name": "a_401_behind_the_redirect_of_a_post_comes_back_after_the_recovery",
        "before": [{"call": "kill_access"}],
        "request": {"path": "/api/redirect?to=/api/echo", "method": "POST", "body": "hello"},
        "expect": {
            "status": 401, "error": null,
            "seen": [{"path": "/api/redirect"}, {"path": "/api/echo"}],
            "stats": {"requests": 1, "grants": 1},
        },
    })
}

fn cases() -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("requests.json");
    serde_json::from_slice(&std::fs::read(file).expect("the cases")).expect("a list of cases")
}
