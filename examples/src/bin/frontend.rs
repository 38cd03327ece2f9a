//! A program that calls a protected API in a loop, shares its login with others, and recovers from
//! 401. It ends when its standard input does, and prints its tally as a line of JSON now and then.
//!
//! `frontend CODEX_HOME ISSUER_URL NAME`

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use codex_auth_examples::{call_api, loopback_client};
use codex_auth_sdk::{AuthManager, UnauthorizedRecoveryDecision};
use serde::Serialize;
use tokio::runtime::Builder;

#[derive(Default, Serialize)]
struct Tally {
    requests: u64,
    recovered: u64,
    logouts: u64,
    slowest_ms: f64,
    errors: Vec<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, url, name] = arguments.as_slice() else {
        return Err("usage: frontend CODEX_HOME ISSUER_URL NAME".into());
    };
    Builder::new_current_thread().enable_all().build()?.block_on(run(home, url, name))
}

async fn run(home: &str, url: &str, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let manager = AuthManager::builder()
        .codex_home(home)
        .token_url(format!("{url}/oauth/token"))
        .originator(name)
        .build()
        .await?;
    let client = loopback_client()?;
    let stopped = stop_with_input();
    let mut tally = Tally::default();
    let mut reported = Instant::now();
    while !stopped.load(Ordering::Relaxed) {
        if let Err(error) = request(&manager, &client, url, &mut tally).await {
            tally.errors.push(error.to_string());
        }
        if reported.elapsed() > Duration::from_millis(250) {
            report(&tally)?;
            reported = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(report(&tally)?)
}

/// One request, with as many retries as the recovery allows.
async fn request(
    manager: &AuthManager,
    client: &reqwest::Client,
    url: &str,
    tally: &mut Tally,
) -> Result<(), Box<dyn std::error::Error>> {
    let recovery = manager.unauthorized_recovery();
    loop {
        let auth = manager.auth().ok_or("logged out")?;
        tally.requests += 1;
        if call_api(client, url, &auth).await? != 401 {
            return Ok(());
        }
        let start = Instant::now();
        let decision = manager.recover_from_unauthorized(&auth, &recovery).await;
        tally.slowest_ms = tally.slowest_ms.max(start.elapsed().as_secs_f64() * 1e3);
        match decision? {
            UnauthorizedRecoveryDecision::Retry => tally.recovered += 1,
            decision => {
                tally.logouts += 1;
                return Err(format!("{decision:?}").into());
            }
        }
    }
}

fn stop_with_input() -> Arc<AtomicBool> {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    thread::spawn(move || {
        // An input that cannot be read has ended too.
        io::stdin().read_to_end(&mut Vec::new()).unwrap_or_default();
        stop.store(true, Ordering::Relaxed);
    });
    stopped
}

fn report(tally: &Tally) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(tally)?)?;
    output.flush()
}
