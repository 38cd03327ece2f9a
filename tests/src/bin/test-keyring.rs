//! A session with a keyring as a program: one line on standard output has the variables by which it
//! is found, or null where the machine cannot have one, and the end of standard input ends it.

use std::io::{self, Read, Write};

use codex_auth_tests::session_keyring::SessionKeyring;
use serde_json::json;

fn main() -> io::Result<()> {
    let session = SessionKeyring::start();
    let variables = session.as_ref().map(SessionKeyring::variables);
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", json!(variables.map(std::collections::BTreeMap::from)))?;
    stdout.flush()?;
    let mut ignored = [0; 1024];
    while io::stdin().read(&mut ignored)? > 0 {}
    Ok(())
}
