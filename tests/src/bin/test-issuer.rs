//! The issuer as a program: one line on standard output says where it listens, and the end of
//! standard input ends it, so that a parent that dies never leaves it behind.

use std::io::{self, Read, Write};

use codex_auth_tests::issuer::Issuer;
use serde_json::json;

fn main() -> io::Result<()> {
    let issuer = Issuer::start()?;
    let address = issuer.address();
    let ready = json!({ "port": address.port(), "url": format!("http://{address}") });
    let mut stdout = io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    let mut ignored = [0; 1024];
    while io::stdin().read(&mut ignored)? > 0 {}
    Ok(())
}
