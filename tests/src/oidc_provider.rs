//! An authorization server that others wrote and use: oidc-provider from npm. It rotates, and revokes
//! the grant of whoever presents a refresh token twice. Its access tokens are opaque, and its id
//! tokens name an issuer and a subject and no ChatGPT account. `oidc-provider/server.mjs` says what
//! it can be told.

use std::path::Path;
use std::process::Command;

use crate::issuer::IssuerProcess;

/// Its only client.
pub const CLIENT_ID: &str = "codex";

/// Starts it.
///
/// # Panics
///
/// If it has not been installed: `make tests/oidc-provider/node_modules/ready`.
#[must_use]
pub fn start() -> IssuerProcess {
    let node = std::env::var_os("NODE").unwrap_or_else(|| "node".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc-provider/server.mjs");
    IssuerProcess::spawn_by(Command::new(node).arg(script)).expect("a server (npm install)")
}
