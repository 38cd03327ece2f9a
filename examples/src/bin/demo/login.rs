//! The login that everybody shares: made, and found to be good in the end.

use std::path::Path;

use codex_auth_examples::{call_api, loopback_client};
use codex_auth_sdk::{AuthManager, CodexAuth};
use codex_auth_tests::codex_cli::CodexCli;
use codex_auth_tests::issuer::Realm;
use serde_json::json;
use tokio::runtime::Builder;

use crate::Result;

/// Writes a record of exactly the form that the CLI writes.
pub(crate) fn write_like_the_cli(home: &Path, realm: &Realm) -> Result<()> {
    let login = realm.call("login", &json!({"name": "a", "access_age_s": 60}));
    std::fs::write(home.join("auth.json"), login["text"].as_str().ok_or("no login")?)?;
    Ok(())
}

/// The stored refresh token has not been spent.
pub(crate) fn check_it_still_works(home: &Path, realm: &Realm) -> Result<()> {
    let stored = std::fs::read_to_string(home.join("auth.json"))?;
    let live = realm.call("live", &json!({"text": stored}));
    if live["refresh"] == json!(true) { Ok(()) } else { Err("the stored login is dead".into()) }
}

/// The CLI uses what we wrote, and we adopt what it writes.
pub(crate) fn check_exchange_with_the_cli(
    home: &Path,
    realm: &Realm,
    codex: &CodexCli,
) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // From here on tokens live long enough to tell who made them.
    realm.run("configure", &json!({"access_ttl_ms": 600_000}));
    runtime.block_on(async {
        let url = realm.url();
        let manager =
            AuthManager::builder().codex_home(home).token_url(format!("{url}/oauth/token"));
        let manager = manager.build().await?;
        let ours = refreshed(&manager).await?;
        let redeemed =
            |stats: serde_json::Value| stats["redeemers"]["codex"].as_u64().unwrap_or_default();
        let before = redeemed(realm.stats());
        codex.exec().map_err(|what| format!("the CLI cannot use what we wrote: {what}"))?;
        if redeemed(realm.stats()) != before {
            return Err("the CLI redeemed a token although ours was good".into());
        }
        realm.run("kill_access", &json!({}));
        codex.exec().map_err(|what| format!("the CLI cannot refresh what we wrote: {what}"))?;
        if redeemed(realm.stats()) == before {
            return Err("the CLI did not redeem the token that we wrote".into());
        }
        let requests = realm.stats()["requests"].clone();
        manager.sync_from_storage(&ours).await?;
        let theirs = manager.auth().ok_or("logged out")?;
        let status = call_api(&loopback_client()?, &url, &theirs).await?;
        if status != 200 || theirs.access_token() == ours.access_token() {
            return Err(format!("what the CLI wrote was not adopted: {status}").into());
        }
        if realm.stats()["requests"] != requests {
            return Err("adopting took a call".into());
        }
        println!("The Codex CLI used the login that we wrote, and we adopted the one it wrote.");
        Ok(())
    })
}

async fn refreshed(manager: &AuthManager) -> Result<CodexAuth> {
    let auth = manager.auth().ok_or("logged out")?;
    Ok(manager.refresh_token(&auth).await?.ok_or("nothing to refresh")?)
}
