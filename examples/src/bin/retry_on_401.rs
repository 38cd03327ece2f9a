//! One request with the Codex login of this machine, recovering from 401.
//!
//! `retry_on_401 URL`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use codex_auth_examples::install_tls;
use codex_auth_sdk::{AuthManager, UnauthorizedRecoveryDecision};
use reqwest::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: retry_on_401 URL")?;
    install_tls();
    let client = Client::new();

    let manager = AuthManager::builder().build().await?;
    let recovery = manager.unauthorized_recovery();
    while let Some(auth) = manager.fresh_auth().await? {
        let reply = client.get(&url).headers(auth.header_map()?.clone()).send().await?;
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
