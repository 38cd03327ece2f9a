//! A test that plays a part of its own in another process: what belongs to a process as a whole, such
//! as its user and its umask, is not to be changed in that of the tests, and a process can end.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::fs::{Mode, RawMode};

const ROLE: &str = "CODEX_AUTH_SDK_TEST_ROLE";

/// What the child says once it has begun: a name without a test would run nothing.
const BEGUN: &str = "the child plays ";

/// The role that this process plays for the test that has started it; none in the test itself.
#[expect(clippy::print_stdout, reason = "the test reads it")]
pub(crate) fn role() -> Option<String> {
    let role = env::var_os(ROLE)?.into_string().ok()?;
    println!("{BEGUN}{role}");
    Some(role)
}

/// The test with the path `test` in this crate, as a process that plays `role`.
pub(crate) fn playing(test: &str, role: &str) -> Command {
    // Another user may not get to the file by its path.
    let is_linux = cfg!(target_os = "linux");
    let program = if is_linux { "/proc/self/exe".into() } else { program() };
    with_role(Command::new(program), test, role)
}

/// A test like that of [`playing`], as the child of `wrapper`, which runs the command that its last
/// arguments are.
#[cfg(target_os = "linux")]
pub(crate) fn playing_in(mut wrapper: Command, test: &str, role: &str) -> Command {
    wrapper.arg(program());
    with_role(wrapper, test, role)
}

fn program() -> PathBuf {
    env::current_exe().expect("a path")
}

fn with_role(mut command: Command, test: &str, role: &str) -> Command {
    command.args(["--exact", test, "--nocapture"]).env(ROLE, role);
    command
}

/// Says that a test is skipped for want of `what`, which is no choice where `CI` is `true`.
#[expect(clippy::print_stderr, reason = "a skip is said")]
pub(crate) fn skip(what: &str) {
    let is_ci = env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "{what} must work here, where nothing is skipped");
    eprintln!("skipped: {what} cannot be had here; run the tests as root");
}

/// Has `child` play its role to the end.
pub(crate) fn play(child: &mut Command) -> Output {
    let output = child.output().expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(BEGUN), "{output:?}");
    output
}

/// Sets the umask of this process, which is a child, to these octal digits.
pub(crate) fn set_umask(digits: &str) {
    let umask = RawMode::from_str_radix(digits, 8).expect("octal digits");
    rustix::process::umask(Mode::from_raw_mode(umask));
}
