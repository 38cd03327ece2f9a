//! The keyring of the session that this process is in, as a foreign program sees it.

use std::io::Write;
use std::process::{Command, Stdio};

use codex_auth_sdk::storage::KeyringItem;

/// What `item` holds; none where there is no such item.
///
/// # Panics
///
/// If it cannot be asked.
#[must_use]
pub fn look_up(item: &KeyringItem) -> Option<String> {
    let output = command("lookup", item).output().expect("secret-tool is installed");
    let text = String::from_utf8(output.stdout).expect("a text");
    output.status.success().then_some(text)
}

/// Makes `item` hold `text`.
///
/// # Panics
///
/// If that fails.
pub fn store(item: &KeyringItem, text: &str) {
    let mut command = command("store", item);
    command.args(["target", "default", "application", "rust-keyring", "--label", item.account()]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("secret-tool is installed");
    let written = child.stdin.take().expect("piped").write_all(text.as_bytes());
    let ended = child.wait().expect("it ends");
    assert!(written.is_ok() && ended.success(), "secret-tool: {ended}");
}

/// Removes `item` if it is there.
///
/// # Panics
///
/// If there is no way to.
pub fn clear(item: &KeyringItem) {
    drop(command("clear", item).output().expect("secret-tool is installed"));
}

fn command(what: &str, item: &KeyringItem) -> Command {
    let mut command = Command::new("secret-tool");
    command.args([what, "service", item.service(), "username", item.account()]);
    command
}
