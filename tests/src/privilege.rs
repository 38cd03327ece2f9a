//! What a test needs the machine's leave for: mounts, tracing, another user. Where it is denied the
//! test says so and is skipped, but never where `CI` is `true`.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What makes a container of a program, by `unshare`.
const CONTAINER: [&str; 3] = ["--user", "--map-root-user", "--mount"];

/// The user that tests of root run other programs as.
pub const ORDINARY_USER: u32 = 1000;

/// Whether `probe` fails, so that a test that needs `what` cannot run; `remedy` says how it can.
///
/// # Panics
///
/// If so and `CI` is `true`.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skip is said")]
pub fn is_denied(what: &str, remedy: &str, probe: &mut Command) -> bool {
    let output = probe.output();
    let is_denied = !output.as_ref().is_ok_and(|output| output.status.success());
    if is_denied {
        let is_ci = std::env::var_os("CI").is_some_and(|value| value == OsStr::new("true"));
        assert!(!is_ci, "{what} must work here, where nothing is skipped: {output:?}");
        eprintln!("skipped: {what} cannot be had here; {remedy}");
    }
    is_denied
}

/// Whether mount namespaces are denied.
#[must_use]
pub fn are_mounts_denied() -> bool {
    is_denied(
        "mounts",
        "run the tests as root, or let users make namespaces",
        unshared().args(["mount", "-t", "tmpfs", "none", "/mnt"]),
    )
}

/// Whether file systems in user space are denied, also where nothing else is skipped: a container
/// seldom has the device.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skip is said")]
pub fn is_fuse_denied() -> bool {
    let device = File::options().read(true).write(true).open("/dev/fuse");
    if let Err(error) = &device {
        eprintln!("skipped: FUSE cannot be had here ({error}); give the container /dev/fuse");
    }
    device.is_err() || are_mounts_denied()
}

/// Whether this process may not have a thousand open files.
#[must_use]
pub fn are_open_files_denied() -> bool {
    is_denied(
        "a thousand open files",
        "raise the limit, as by `ulimit -n 4096`",
        Command::new("sh")
            .args(["-c", r#"n=$(ulimit -n); [ "$n" = unlimited ] || [ "$n" -ge 1000 ]"#]),
    )
}

/// Whether an ordinary user cannot be had.
#[must_use]
pub fn is_ordinary_user_denied() -> bool {
    is_denied(
        "an ordinary user",
        "install setpriv (util-linux)",
        &mut as_ordinary_user(&Command::new("true")),
    )
}

/// Whether being root is denied.
#[must_use]
pub fn is_root_denied() -> bool {
    is_denied("root", "run the tests as root", Command::new("sh").args(["-c", "test $(id -u) = 0"]))
}

/// Whether tracing other programs is denied.
#[must_use]
pub fn is_tracing_denied() -> bool {
    is_denied(
        "tracing",
        "install strace, and let it trace (kernel.yama.ptrace_scope)",
        Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "--", "true"]),
    )
}

/// Whether this is root.
#[must_use]
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// `program` as a user whom permissions bind: this one, unless it is root.
#[must_use]
pub fn as_ordinary_user(program: &Command) -> Command {
    if is_root() {
        return as_member(ORDINARY_USER, ORDINARY_USER, program);
    }
    let mut command = Command::new("setpriv");
    append(&mut command, program);
    command
}

/// `program` as `user`, of `group` alone. Only for root.
#[must_use]
pub fn as_member(user: u32, group: u32, program: &Command) -> Command {
    let (user, group) = (user.to_string(), group.to_string());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &group, "--clear-groups"]);
    append(&mut command, program);
    command
}

/// A command in a mount namespace of its own, in which it may mount.
#[must_use]
pub fn unshared() -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--mount");
    command
}

/// A mount namespace that lasts until this is dropped; a user namespace too, where that takes one or
/// it is a container's.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    has_users: bool,
}

/// Whether containers are denied.
#[must_use]
pub fn are_containers_denied() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(CONTAINER).args(["--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]);
    is_denied("user namespaces", "let users make namespaces", &mut probe)
}

impl Namespace {
    /// A container in which the shell ran `script` with `arguments`.
    ///
    /// # Panics
    ///
    /// If it failed.
    #[must_use]
    pub fn container(script: &str, arguments: &[&Path]) -> Self {
        let mut command = Command::new("unshare");
        command.args(CONTAINER);
        Self { holder: held(command, script, arguments), has_users: true }
    }

    /// One in which the shell ran `script` with `arguments`.
    ///
    /// # Panics
    ///
    /// If it failed.
    #[must_use]
    pub fn new(script: &str, arguments: &[&Path]) -> Self {
        Self { holder: held(unshared(), script, arguments), has_users: !is_root() }
    }

    /// `program` in it.
    #[must_use]
    pub fn enter(&self, program: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if self.has_users {
            command.args(["--user", "--preserve-credentials"]);
        }
        append(&mut command, program);
        command
    }

    /// Runs `script` in it.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn run(&self, script: &str, argument: &Path) {
        let mut shell = Command::new("sh");
        shell.args(["-ec", script, "sh"]).arg(argument);
        let status = self.enter(&shell).status().expect("nsenter");
        assert!(status.success(), "{script}");
    }

    /// How `path` in it is reached from outside.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// A process by `unshare` that has run `script`, and waits.
fn held(mut unshare: Command, script: &str, arguments: &[&Path]) -> Child {
    let script = format!("{script}\necho ready; exec cat");
    unshare.args(["sh", "-ec", &script, "sh"]).args(arguments);
    let mut holder = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
    let mut ready = [0; 6];
    let output = holder.stdout.as_mut().expect("piped");
    std::io::Read::read_exact(output, &mut ready).expect("the script has run");
    holder
}

fn append(command: &mut Command, program: &Command) {
    command.arg(program.get_program()).args(program.get_args());
}
