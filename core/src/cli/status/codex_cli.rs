//! Which Codex CLI a shell would start.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The first release that locks the login while it saves.
const LOCKS_SINCE: [u32; 2] = [0, 169];

/// A CLI that takes longer is not waited for.
const LONGEST: Duration = Duration::from_secs(5);

/// Returns the version of the Codex CLI; none if there is no such program, or if it does not say.
pub(super) async fn version() -> Option<String> {
    let mut command = Command::new("codex");
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null());
    let output = spawn_blocking(move || command.output());
    let output = timeout(LONGEST, output).await.ok()?.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().last()?;
    numbers(version).map(|_| version.to_owned())
}

/// Returns whether a CLI of this `version` saves without a lock.
pub(super) fn is_too_old(version: &str) -> bool {
    numbers(version).is_some_and(|numbers| numbers < LOCKS_SINCE)
}

/// Returns the major and the minor number of `version`.
fn numbers(version: &str) -> Option<[u32; 2]> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_since_the_lock_are_not_too_old() {
        for (version, expected) in [
            ("0.168.3", true),
            ("0.9.0", true),
            ("0.169.0", false),
            ("0.171.0-alpha.1", false),
            ("1.0.0", false),
            ("new", false),
        ] {
            assert_eq!(is_too_old(version), expected, "{version}");
        }
    }
}
