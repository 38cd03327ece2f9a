//! One request with the Codex login of this machine.
//!
//! `quickstart URL [ALLOWED_ORIGIN...]`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use codex_auth_sdk::{AuthClient, AuthManager};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: quickstart URL [ALLOWED_ORIGIN...]")?;
    let origins = arguments.collect();

    let manager = AuthManager::builder().allowed_origins(origins).build().await?;
    let client = AuthClient::new(manager)?;
    let response = client.send(client.http().get(url)).await?;
    println!("{}", response.status().as_u16());
    Ok(())
}
