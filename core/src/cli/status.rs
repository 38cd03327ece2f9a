//! `status`: what the login is, and what is not as it should be.

mod codex_cli;
mod problem;
mod text;

use chrono::TimeDelta;
use serde::Serialize;

use self::problem::Problem;
use super::arguments::Status;
use super::console;
use super::failure::{Details, Exit, Failure, Result};
use crate::{AuthManager, AuthManagerBuilder, Description};

/// All that is found out.
#[derive(Serialize)]
struct Report {
    description: Description,
    /// The version of the Codex CLI that a shell would start; none if it is not known.
    codex_cli: Option<String>,
    /// What the server has answered; none if it was not asked.
    server: Option<Server>,
    problems: Vec<Problem>,
    /// It is left out of what programs store, as of the description.
    #[serde(skip)]
    email: Option<String>,
}

/// What the token endpoint has answered.
#[derive(Serialize)]
struct Server {
    /// By how many seconds the clock of this machine is ahead; none if that is not known.
    clock_ahead_seconds: Option<i64>,
    /// Why there was no answer.
    error: Option<Details>,
}

pub(super) async fn status(builder: AuthManagerBuilder, arguments: &Status) -> Result {
    // A login that cannot be read is what is to be told about.
    let manager = builder.build_unread()?;
    let unread = manager.reload().await.err();
    let (description, codex_cli, server) =
        tokio::join!(manager.describe(), codex_cli::version(), ask(&manager, arguments));
    let problems =
        problem::all(&description, unread.as_ref(), codex_cli.as_deref(), server.as_ref());
    let email = manager.auth().and_then(|auth| auth.email().map(str::to_owned));
    let report = Report { description, codex_cli, server, problems, email };
    if arguments.json {
        console::print_json(&report)?;
    } else {
        text::print(&report)?;
    }
    match Problem::exit_for(&report.problems) {
        Exit::Done => Ok(()),
        exit => Err(Failure::Reported(exit)),
    }
}

async fn ask(manager: &AuthManager, arguments: &Status) -> Option<Server> {
    if !arguments.check {
        return None;
    }
    let answer = manager.clock_ahead().await;
    let ahead = answer.as_ref().ok().copied().flatten();
    let error = answer.as_ref().err().map(Details::from);
    Some(Server { clock_ahead_seconds: ahead.map(|ahead: TimeDelta| ahead.num_seconds()), error })
}
