//! What a test needs the machine's leave for: mounts, tracing, another user. Where it is denied the
//! test says so and is skipped, but never where `CI` is `true`.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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

/// A mount namespace that lasts until this is dropped.
#[derive(Debug)]
pub struct Namespace(Child);

impl Namespace {
    /// One in which the shell ran `script` with `arguments`.
    ///
    /// # Panics
    ///
    /// If it failed.
    #[must_use]
    pub fn new(script: &str, arguments: &[&Path]) -> Self {
        let script = format!("{script}\necho ready; exec cat");
        let mut command = unshared();
        command.args(["sh", "-ec", &script, "sh"]).args(arguments);
        let mut holder =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let mut ready = [0; 6];
        let output = holder.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(output, &mut ready).expect("the script has run");
        Self(holder)
    }

    /// `program` in it.
    #[must_use]
    pub fn enter(&self, program: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.0.id().to_string(), "--mount"]);
        if !is_root() {
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
        Path::new("/proc").join(self.0.id().to_string()).join("root").join(inside)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn append(command: &mut Command, program: &Command) {
    command.arg(program.get_program()).args(program.get_args());
}
