//! One request with the Codex login of this machine, recovering from 401.
//!
//! `retry_on_401 URL`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use codex_auth_examples::loopback_client;
use codex_auth_sdk::{AuthManager, UnauthorizedRecoveryDecision};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: retry_on_401 URL")?;
    let client = loopback_client()?;

    let manager = AuthManager::builder().build().await?;
    let recovery = manager.unauthorized_recovery();
    while let Some(auth) = manager.fresh_auth().await? {
        let mut request = client.get(&url);
        for (name, value) in auth.headers()? {
            request = request.header(*name, value.expose());
        }
        let reply = request.send().await?;
        if reply.status() != 401 {
            println!("{}", reply.status().as_u16());
            return Ok(());
        }
        match manager.recover_from_unauthorized(&auth, &recovery).await? {
            UnauthorizedRecoveryDecision::Retry => {}
            decision => return Err(format!("please sign in again: {decision:?}").into()),
        }
    }
    Err("please sign in".into())
}
