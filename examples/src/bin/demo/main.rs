//! One login, many programs: Rust, Python and Node frontends (and the real Codex CLI, if there is
//! one) share a `CODEX_HOME` while the access token expires every few seconds and the refresh token
//! rotates each time. Nobody is logged out.
//!
//! `demo [--seconds N] [--processes N] [--python PROGRAM] [--node PROGRAM] [--codex PROGRAM]`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod codex;
mod frontend;
mod login;
mod options;
mod table;

use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use codex_auth_tests::codex_cli::CodexCli;
use codex_auth_tests::issuer::{IssuerProcess, Realm};
use serde_json::json;

use frontend::{Frontend, Language};
use options::Options;
use table::Row;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Access tokens end this soon.
const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(3);

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let issuer = IssuerProcess::spawn()?;
    let realm = issuer.realm("");
    realm.run(
        "reset",
        &json!({
            "access_ttl_ms": ACCESS_TOKEN_LIFE.as_millis() as u64,
            "grant_latency_ms": 100,
            // The CLI gives up on a refusal that overtakes the winner's save; we do not.
            "refusal_latency_ms": 300,
            // Tokens look longer-lived than they are: every end comes as a 401.
            "clock_offset_s": 900,
            // No locks can save a family from a program that takes none.
            "policy": if options.codex.is_some() { "error" } else { "revoke_family" },
        }),
    );
    let home = tempfile::tempdir()?;
    let cli = |program| CodexCli::new(program, home.path(), &realm, codex::NAME);
    let codex = options.codex.as_deref().map(cli).transpose()?;
    match &codex {
        Some(codex) => codex.login()?,
        None => login::write_like_the_cli(home.path(), &realm)?,
    }
    let mut frontends = Frontend::start_all(&options, home.path(), &realm)?;
    let turns = codex.as_ref().map(codex::Turns::start);
    watch(&options, &realm, &mut frontends);
    for frontend in &mut frontends {
        frontend.stop()?;
    }
    let turns = turns.map(codex::Turns::stop).transpose()?;
    let stats = realm.stats();
    let mut rows: Vec<Row> =
        Language::ALL.into_iter().map(|language| Row::of(language, &frontends, &stats)).collect();
    rows.extend(turns.map(|turns| turns.row(&stats)));
    table::print(&rows, &stats);
    table::check(&rows, &stats)?;
    login::check_it_still_works(home.path(), &realm)?;
    if let Some(codex) = &codex {
        login::check_exchange_with_the_cli(home.path(), &realm, codex)?;
    }
    println!("Nobody was logged out.");
    Ok(())
}

/// Shows what happens until the time is over.
fn watch(options: &Options, realm: &Realm, frontends: &mut [Frontend]) {
    let start = Instant::now();
    let is_live = io::stdout().is_terminal();
    while start.elapsed() < options.duration {
        let tick = if is_live { Duration::from_millis(250) } else { Duration::from_secs(5) };
        thread::park_timeout(tick.min(options.duration.saturating_sub(start.elapsed())));
        let stats = realm.stats();
        let requests: u64 = frontends.iter_mut().map(|frontend| frontend.tally().requests).sum();
        let line = format!(
            "{:>3} s   {requests:>6} requests   {:>5} answered with 401   {:>4} rotations   {:>3} refusals",
            start.elapsed().as_secs(),
            stats["api_unauthorized"],
            stats["grants"],
            stats["refused"],
        );
        if is_live {
            print!("\r{line}");
            // A terminal that cannot be written to shows nothing, which harms nobody.
            io::stdout().flush().unwrap_or_default();
        } else {
            println!("{line}");
        }
    }
    println!();
}
