//! What the example programs share.

use std::io;
use std::sync::Arc;

use reqwest::{Client, StatusCode};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use codex_auth_sdk::CodexAuth;

/// Has `reqwest` use the one TLS library of this workspace, where it is built without any. With its
/// default features a program needs no such call.
pub fn install_tls() {
    // Fails where it has been called before.
    drop(ring::default_provider().install_default());
}

/// Waits for what a service manager or a terminal sends to end a program, from now on.
///
/// # Errors
///
/// If signals cannot be listened to.
#[cfg(unix)]
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Waits for Ctrl-C.
///
/// # Errors
///
/// None.
#[cfg(not(unix))]
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
}

/// A client for plain HTTP on loopback, which is all that the examples talk to.
///
/// # Errors
///
/// If it cannot be set up.
pub fn loopback_client() -> Result<Client, Box<dyn std::error::Error>> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(Client::builder().tls_backend_preconfigured(tls).no_proxy().build()?)
}

/// One request of the protected API with the headers of `auth`.
///
/// # Errors
///
/// If there is no reply.
pub async fn call_api(
    client: &Client,
    url: &str,
    auth: &CodexAuth,
) -> Result<StatusCode, Box<dyn std::error::Error>> {
    let request = client.get(format!("{url}/api/me")).headers(auth.header_map()?.clone());
    Ok(request.send().await?.status())
}
