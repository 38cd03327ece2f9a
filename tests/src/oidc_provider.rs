//! An authorization server that others wrote and use: oidc-provider from npm. It rotates, and revokes
//! the grant of whoever presents a refresh token twice. Its access tokens are opaque, and its id
//! tokens name an issuer and a subject and no ChatGPT account. `oidc-provider/server.mjs` says what
//! it can be told.

use crate::issuer::IssuerProcess;
use crate::program;

/// Its only client.
pub const CLIENT_ID: &str = "codex";

/// Starts it.
///
/// # Panics
///
/// If it has not been installed: `make tests/oidc-provider/node_modules/ready`.
#[must_use]
pub fn start() -> IssuerProcess {
    let script = program::file("oidc-provider/server.mjs");
    IssuerProcess::spawn_by(program::node().arg(script)).expect("a server (npm install)")
}
