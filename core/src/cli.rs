//! The command `codex-auth-sdk`: what the library does, for people and for scripts.
//!
//! The packages of all languages ship it, and each calls [`run`].

#[cfg(unix)]
mod agent;
mod arguments;
mod console;
mod export;
mod failure;
mod fresh;
mod log;
mod logins;
mod manual;
mod migrate;
mod moment;
mod printer;
mod refresh;
mod rekey;
mod relocation;
mod settling;
mod sign_in;
mod signals;
mod status;
mod summary;
mod token;
mod watch;

use std::ffi::OsString;
use std::io;

use clap::Parser as _;
use tokio::runtime::Builder;

use self::arguments::{Arguments, Command, Which};
use self::failure::{Exit, Result};
use self::log::Log;
use self::settling::settle;
use self::signals::{Signal, Signals};

/// Runs the command with `arguments`, of which the first one is its name, and returns its exit code.
///
/// A signal that ends the command (SIGINT, SIGTERM, and SIGHUP unless the command reloads something by
/// it) ends this process by its default meaning, once what is in flight is saved. Then this function
/// does not return.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        // This is also how help comes: to stdout, with the exit code 0.
        Err(error) => {
            let exit = if error.use_stderr() { Exit::WrongUsage } else { Exit::Done };
            return error.print().map_or(Exit::Failed, |()| exit) as u8;
        }
    };
    match perform(arguments) {
        Ok(exit) => exit as u8,
        Err(signal) => signal.end_this_process(),
    }
}

/// Performs the command. Returns the signal that ends it, if one does.
fn perform(arguments: Arguments) -> std::result::Result<Exit, Signal> {
    let Arguments { which, verbose, command } = arguments;
    let is_json = command.is_json();
    let started = || -> io::Result<_> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let signals = runtime.block_on(async { Signals::listen(command.reloads()) })?;
        Ok((runtime, signals))
    };
    let (runtime, mut signals) = match started() {
        Ok(started) => started,
        Err(error) => {
            console::complain(&format!("the command cannot be started: {error}"));
            return Ok(Exit::Failed);
        }
    };
    let log = Log::start(verbose);
    let performed = runtime.block_on(log.shown_while(async {
        let ended = signals.unless_ended(perform_subcommand(which, command)).await;
        settle(&mut signals).await.map(|settled| (ended, settled))
    }));
    // A thread that reads stdin may still wait for it.
    runtime.shutdown_background();
    let (ended, settled) = performed?;
    let (signal, outcome) = match ended {
        Ok(outcome) => (None, outcome),
        Err(signal) => (Some(signal), Ok(())),
    };
    let mut exit = Exit::Done;
    for failure in [settled.err(), outcome.err()].into_iter().flatten() {
        failure.show(is_json);
        exit = failure.exit();
    }
    signal.map_or(Ok(exit), Err)
}

async fn perform_subcommand(which: Which, command: Command) -> Result {
    match command {
        Command::Status(arguments) => status::status(which, &arguments).await,
        Command::Token(arguments) => token::print(which.builder(), &arguments).await,
        Command::Login(arguments) => sign_in::log_in(which.builder(), arguments).await,
        Command::Logout(arguments) => sign_in::log_out(which.builder(), &arguments).await,
        Command::Refresh => refresh::refresh(which.builder()).await,
        Command::Watch(arguments) => watch::watch(which.builder(), &arguments).await,
        Command::Export(arguments) => export::export(which.builder(), &arguments).await,
        #[cfg(unix)]
        Command::Agent(arguments) => agent::run(&which, arguments).await,
        Command::Migrate(arguments) => migrate::migrate(&arguments).await,
        Command::Logins(arguments) => logins::list(&arguments).await,
        Command::Rekey(arguments) => rekey::rekey(&arguments).await,
        Command::Move(arguments) => relocation::relocate_login(which, &arguments).await,
        Command::Completions { shell } => manual::print_completions(shell),
        Command::Man { subcommand } => manual::print_page(subcommand.as_deref()),
    }
}
