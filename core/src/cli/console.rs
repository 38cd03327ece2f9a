//! What the command prints: results to stdout, and what it has to say beside them to stderr. Colours
//! are for terminals, and not where `NO_COLOR` is set.

use std::fmt::Display;
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::Secret;

/// The version of all JSON output. It counts up when a field changes its meaning or goes.
const FORM: u32 = 1;

const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// An object of JSON output.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    object: &'a T,
}

/// Prints a line of the result.
pub(super) fn print(line: impl Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{line}")
}

/// Prints an object of the result on a line, with the version of its form.
pub(super) fn print_json(object: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string(&Versioned { version: FORM, object })?;
    // Not through `anstream`: what looks like a colour here is a text of the login.
    writeln!(io::stdout().lock(), "{json}")
}

/// Prints a token, which is the whole result.
pub(super) fn print_secret(token: &Secret) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(token.expose().as_bytes())?;
    stdout.write_all(b"\n")
}

/// Prints bytes for another program.
pub(super) fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Tells the user something beside the result.
pub(super) fn tell(line: impl Display) {
    // Without a stderr there is no user to tell.
    writeln!(anstream::stderr().lock(), "{line}").unwrap_or_default();
}

pub(super) fn warn(text: &str) {
    tell(warning(text));
}

/// Returns the line that warns of `text`.
pub(super) fn warning(text: &str) -> String {
    format!("{WARNING}warning:{WARNING:#} {}", printable(text))
}

pub(super) fn complain(text: &str) {
    tell(format_args!("{ERROR}error:{ERROR:#} {}", printable(text)));
}

/// Returns `text` without what a terminal would obey: other programs have chosen parts of it.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_have_chosen_commands_the_terminal() {
        assert_eq!(printable("plan \u{1b}]0;evil\u{7}\u{9b}2J é"), "plan �]0;evil��2J é");
    }
}
