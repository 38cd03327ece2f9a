//! `agent`: hands out access tokens, until it is stopped. It prints what happens to the login.

use chrono::Utc;

use super::arguments::Agent as Arguments;
use super::failure::Result;
use super::{console, moment};
use crate::agent::{Agent, AgentOptions};
use crate::{AuthManagerBuilder, Event, Events};

pub(super) async fn run(builder: AuthManagerBuilder, arguments: Arguments) -> Result {
    let builder = match arguments.window()? {
        Some(window) => builder.refresh_window(window),
        None => builder,
    };
    let manager = builder.build().await?;
    let events = manager.subscribe();
    let is_signed_in = manager.auth().is_some();
    let agent = Agent::open(manager, options(arguments)).await?;
    for place in agent.places() {
        say(&format!("listening on {place}"))?;
    }
    say(if is_signed_in { "watching" } else { "watching; nobody is signed in" })?;
    tokio::select! {
        () = agent.serve() => Ok(()),
        told = tell(events) => told,
    }
}

fn options(arguments: Arguments) -> AgentOptions {
    AgentOptions {
        socket: arguments.socket,
        users: arguments.allow_uid,
        listen: arguments.listen,
        hosts: arguments.allow_host,
        bearer: arguments.bearer_file,
        sinks: arguments.sink,
    }
}

/// Prints a line for each event.
async fn tell(mut events: Events) -> Result {
    while let Some(event) = events.next().await {
        match &event {
            Event::RefreshFailed(error) | Event::SaveFailed(error) => {
                say(&format!("{}: {}", event.kind(), console::printable(&error.to_string())))?;
            }
            event => say(event.kind())?,
        }
    }
    Ok(())
}

fn say(what: &str) -> Result {
    Ok(console::print(format_args!("{} {what}", moment::exact(Utc::now())))?)
}
