//! Keeps the Codex login of this machine fresh, so that no Codex CLI on it has to refresh: leave it
//! running. It can be started before anybody signs in, prints what happens to the login, and ends
//! on SIGTERM or Ctrl-C. `examples/guardian` runs it under systemd.
//!
//! `guardian [--refresh-window SECONDS]`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::pin::pin;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use codex_auth_examples::stop_signal;
use codex_auth_sdk::{AuthManager, AuthManagerBuilder, Event};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// More than a refresh in flight takes.
const LONGEST_CLOSE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut stop = pin!(stop_signal()?);
    let manager = builder()?.build().await?;
    let mut events = manager.subscribe();
    // The second tells of logins and logouts at once; the first looks every half a minute.
    let background = (manager.keep_fresh(), manager.follow_store());
    say(if manager.auth().is_some() { "watching" } else { "watching; nobody is signed in" });
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(event) = events.next() => match &event {
                Event::RefreshFailed(error) | Event::SaveFailed(error) => {
                    say(&format!("{}: {error}", event.kind()));
                }
                event => say(event.kind()),
            },
        }
    }
    say("stopping");
    drop(background);
    // A refresh in flight has spent its token: what it got must be saved.
    if manager.close(LONGEST_CLOSE).await { Ok(()) } else { Err("not all is saved".into()) }
}

fn builder() -> Result<AuthManagerBuilder> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(AuthManager::builder()),
        [option, window] if option == "--refresh-window" => {
            let window = Duration::try_from_secs_f64(window.parse()?)?;
            Ok(AuthManager::builder().refresh_window(window))
        }
        _ => Err("usage: guardian [--refresh-window SECONDS]".into()),
    }
}

fn say(what: &str) {
    println!("{} {what}", Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true));
}
