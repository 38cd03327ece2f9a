//! `completions` and `man`.

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::{Arguments, NAME};
use super::console;
use super::failure::Result;

pub(super) fn print_completions(shell: Shell) -> Result {
    let mut completions = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut completions);
    Ok(console::print_bytes(&completions)?)
}

/// Prints the page of `subcommand`, or that of the whole command.
pub(super) fn print_page(subcommand: Option<&str>) -> Result {
    let mut command = Arguments::command();
    // Each subcommand gets the options that are common to all of them.
    command.build();
    let found = subcommand.and_then(|name| command.find_subcommand(name)).cloned();
    let mut page = Vec::new();
    Man::new(found.unwrap_or(command)).render(&mut page)?;
    Ok(console::print_bytes(&page)?)
}
