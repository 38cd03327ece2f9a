//! `agent`: hands out access tokens, until it is stopped. It prints what happens to the login.

use chrono::Utc;

use super::arguments::Agent as Arguments;
use super::failure::Result;
use super::printer::Printer;
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
    let diary = Diary::new();
    for place in agent.places() {
        diary.say(&format!("listening on {place}"));
    }
    diary.say(if is_signed_in { "watching" } else { "watching; nobody is signed in" });
    tokio::join!(agent.serve(), diary.follow(events));
    Ok(())
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

/// What the agent prints. Its clients need it, and not its output, which may be closed.
struct Diary(Printer);

impl Diary {
    fn new() -> Self {
        Self(Printer::new(|line| console::print(line).unwrap_or_default()))
    }

    /// Prints a line for each event.
    async fn follow(&self, mut events: Events) {
        while let Some(event) = events.next().await {
            match &event {
                Event::RefreshFailed(error) | Event::SaveFailed(error) => {
                    let error = console::printable(&error.to_string());
                    self.say(&format!("{}: {error}", event.kind()));
                }
                event => self.say(event.kind()),
            }
        }
    }

    fn say(&self, what: &str) {
        self.0.print(format!("{} {what}", moment::exact(Utc::now())));
    }
}
