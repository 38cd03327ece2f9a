//! `status`: what the login is, and what is not as it should be.

mod codex_cli;
mod copies;
mod problem;
mod report;
mod server;
mod text;
mod waiting;

use self::problem::Problem;
use self::report::Report;
use self::server::Server;
use super::arguments::{Status, Which};
use super::console;
use super::failure::{Exit, Failure, Result};
use crate::AuthManager;

pub(super) async fn status(which: Which, arguments: &Status) -> Result {
    let named = which.store.clone();
    // A login that cannot be read is what is to be told about.
    let manager = which.builder().build_unread()?;
    let unread = manager.reload().await.err();
    let (description, codex_cli, server) =
        tokio::join!(manager.describe(), codex_cli::version(), ask(&manager, arguments));
    let mut problems =
        problem::all(&description, unread.as_ref(), codex_cli.as_deref(), server.as_ref());
    let auth = manager.auth();
    if let Some(auth) = &auth {
        let copies = copies::of(auth, &description.places).await;
        problems.extend(copies.iter().map(|path| Problem::of_copy(path)));
    }
    problems.extend(waiting::beside(named, &description).await.map(Problem::of_waiting));
    let email = auth.and_then(|auth| auth.email().map(str::to_owned));
    let exit = Problem::exit_for(&problems);
    let report = Report { description, codex_cli, server, problems, email };
    if arguments.json {
        console::print_json(&report)?;
    } else {
        console::print(&report)?;
    }
    if exit == Exit::Done { Ok(()) } else { Err(Failure::Reported(exit)) }
}

async fn ask(manager: &AuthManager, arguments: &Status) -> Option<Server> {
    if arguments.check { Some(Server::ask(manager).await) } else { None }
}
