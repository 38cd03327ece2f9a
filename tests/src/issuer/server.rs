//! Connections and routes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::Request as HyperRequest;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::config::Config;
use super::realm::Realm;
use super::reply::{self, Dropped, Reply};
use super::request::Request;
use super::{api, control, sign_in, socket, token_endpoint, workspaces};

/// All realms of one process.
pub(super) struct World {
    url: String,
    realms: Mutex<HashMap<String, Arc<Realm>>>,
}

impl World {
    pub(super) fn new(url: String) -> Self {
        Self { url, realms: Mutex::default() }
    }

    /// The realm of this name, made on first use.
    fn realm(&self, name: &str) -> Arc<Realm> {
        let mut realms = self.realms.lock().unwrap_or_else(PoisonError::into_inner);
        let realm = realms.entry(name.to_owned()).or_insert_with(|| Arc::new(self.new_realm(name)));
        Arc::clone(realm)
    }

    /// A new realm in the place of any that had this name.
    fn replace_realm(&self, name: &str) -> Arc<Realm> {
        let realm = Arc::new(self.new_realm(name));
        let mut realms = self.realms.lock().unwrap_or_else(PoisonError::into_inner);
        realms.insert(name.to_owned(), Arc::clone(&realm));
        realm
    }

    fn new_realm(&self, name: &str) -> Realm {
        let url = match name {
            "" => self.url.clone(),
            name => format!("{}/r/{name}", self.url),
        };
        Realm::new(url, Config::default())
    }
}

/// Accepts connections until the runtime ends.
pub(super) async fn serve(listener: TcpListener, world: Arc<World>) {
    loop {
        // A connection that failed before it was accepted is the client's affair.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let service = service_fn(|request| handle(&world, request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // Dropped replies end here, on purpose.
            drop(connection.await);
        });
    }
}

async fn handle(world: &World, request: HyperRequest<Incoming>) -> Result<Reply, Dropped> {
    let mut request = Request::read(request).await?;
    let (realm, path) = realm_and_path(&request.path);
    let (realm, path) = (realm.to_owned(), path.to_owned());
    request.path = path;
    if request.path == "/control/realms" {
        return Ok(controlled(begin_realm(world, &request)));
    }
    route(&world.realm(&realm), &request).await
}

async fn route(realm: &Arc<Realm>, request: &Request) -> Result<Reply, Dropped> {
    let reply = match (request.method.as_str(), request.path.as_str()) {
        ("POST" | "HEAD", "/oauth/token") => return token_endpoint::token(realm, request).await,
        ("POST", "/oauth/revoke") => api::revoke(realm, request).await,
        ("GET", "/oauth/authorize") => sign_in::authorize(realm, request),
        ("GET", "/api/socket") => socket::socket(realm, request),
        (_, "/oauth/stolen") => api::stolen(realm, request),
        ("POST", "/api/accounts/deviceauth/usercode") => sign_in::begin_device(realm),
        ("POST", "/api/accounts/deviceauth/token") => sign_in::poll_device(realm, &request.form()),
        ("GET", path) if path.ends_with("/accounts/check") => workspaces::list(realm, request),
        ("POST", path) if path.ends_with("/accounts/switch-workspace-token") => {
            workspaces::switch(realm, request)
        }
        (_, path) => match path.strip_prefix("/control/") {
            Some(name) => controlled(match arguments(request) {
                Ok(arguments) => control::call(realm, name, arguments).await,
                Err(error) => Err(error),
            }),
            None if path == "/api/hang" => std::future::pending().await,
            None => api::api(realm, request),
        },
    };
    Ok(reply)
}

/// `POST /control/realms {"name": …, "config": …, "logins": …, "faults": …}`.
fn begin_realm(world: &World, request: &Request) -> Result<Value, String> {
    let mut arguments = arguments(request)?;
    let name = arguments.as_object_mut().and_then(|fields| fields.remove("name"));
    let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        return Err("a realm's name has letters, digits, '-', '_' and '.' only".to_owned());
    }
    let realm = world.replace_realm(name);
    let mut answer = control::prepare(&realm, arguments)?;
    answer["url"] = json!(realm.url);
    Ok(answer)
}

fn realm_and_path(path: &str) -> (&str, &str) {
    match path.strip_prefix("/r/").and_then(|rest| rest.split_once('/')) {
        Some((realm, rest)) => (realm, &path[path.len() - rest.len() - 1..]),
        None => ("", path),
    }
}

fn arguments(request: &Request) -> Result<Value, String> {
    if request.body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&request.body).map_err(|error| error.to_string())
}

fn controlled(result: Result<Value, String>) -> Reply {
    match result {
        Ok(answer) => reply::json(200, &answer),
        Err(error) => reply::json(400, &json!({ "error": error })),
    }
}
