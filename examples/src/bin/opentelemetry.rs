//! One request with the Codex login of this machine, told to OpenTelemetry: the request and what a
//! recovery from 401 takes, each as a span. Here they are printed; a program of your own has another
//! exporter.
//!
//! `opentelemetry URL`

use std::time::Duration;

use codex_auth_examples::{call_api, loopback_client};
use codex_auth_sdk::{AuthManager, UnauthorizedRecoveryDecision};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_stdout::SpanExporter;
use reqwest::Client;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Has spans printed that this program or the SDK makes.
fn trace() -> SdkTracerProvider {
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(SpanExporter::default()).build();
    let targets = Targets::new()
        .with_target("codex_auth_sdk", LevelFilter::INFO)
        .with_target(module_path!(), LevelFilter::INFO);
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("codex-auth-examples"))
        .with_location(false)
        .with_threads(false);
    Registry::default().with(targets).with(spans).init();
    provider
}

async fn request(
    client: &Client,
    manager: &AuthManager,
    url: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let recovery = manager.unauthorized_recovery();
    while let Some(auth) = manager.fresh_auth().await? {
        if call_api(client, url, &auth).await? != 401 {
            return Ok(());
        }
        match manager.recover_from_unauthorized(&auth, &recovery).await? {
            UnauthorizedRecoveryDecision::Retry => {}
            decision => return Err(format!("please sign in again: {decision:?}").into()),
        }
    }
    Err("please sign in".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: opentelemetry URL")?;
    let provider = trace();
    let client = loopback_client()?;
    let manager = AuthManager::builder().build().await?;
    let done = request(&client, &manager, &url).instrument(info_span!("request")).await;
    // What is still in flight has spans, too.
    manager.close(Duration::from_secs(10)).await;
    provider.shutdown()?;
    done
}
