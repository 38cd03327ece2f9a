//! A web service whose every answer takes many calls at once, all with the Codex login of this
//! machine. It says how many of them succeeded.
//!
//! `server PORT URL [ALLOWED_ORIGIN...]`; port 0 is any free one.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use codex_auth_examples::stop_signal;
use codex_auth_sdk::reqwest::Response;
use codex_auth_sdk::{AuthClient, AuthManager, RequestError};
use futures_util::future::join_all;
use tokio::net::TcpListener;

const CALLS: usize = 20;

#[derive(Debug)]
struct Service {
    client: AuthClient,
    url: String,
}

impl Service {
    async fn call(&self) -> Result<Response, RequestError> {
        self.client.send(self.client.http().get(&self.url)).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: server PORT URL [ALLOWED_ORIGIN...]".into());
    };
    let manager = AuthManager::builder().allowed_origins(arguments.collect()).build().await?;
    let client = AuthClient::new(manager)?;
    let routes =
        Router::new().route("/", get(call_at_once)).with_state(Arc::new(Service { client, url }));
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, routes).with_graceful_shutdown(stop_signal()?).await?;
    Ok(())
}

async fn call_at_once(State(service): State<Arc<Service>>) -> String {
    let answers = join_all((0..CALLS).map(|_| service.call())).await;
    let succeeded =
        answers.iter().flatten().filter(|response| response.status().is_success()).count();
    format!("{succeeded} of {CALLS}")
}
