//! A desktop session of our own: a D-Bus and a gnome-keyring whose user is signed in, in a folder
//! that goes away.

mod desk;
pub mod secret_tool;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use desk::{Desk, Item};

/// A session without activation: the keyring of the machine must not be started in the place of
/// ours.
const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// How long a daemon may take to start; it takes milliseconds.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A running session. Its daemons are killed when this is dropped.
#[derive(Debug)]
pub struct SessionKeyring {
    folder: TempDir,
    bus: Child,
    address: String,
    daemon: Option<Child>,
}

impl SessionKeyring {
    /// Whether there can be a session: not where the machine lacks `dbus-daemon`, `dbus-send`,
    /// `gnome-keyring-daemon` or `secret-tool`.
    ///
    /// # Panics
    ///
    /// If it lacks one although `CI` is set.
    #[must_use]
    pub fn is_possible() -> bool {
        let programs = ["dbus-daemon", "dbus-send", "gnome-keyring-daemon", "secret-tool"];
        let missing = programs.into_iter().find(|program| !is_installed(program));
        let is_ci = std::env::var_os("CI").is_some();
        assert!(missing.is_none() || !is_ci, "{missing:?} is not installed");
        missing.is_none()
    }

    /// Starts a session; none where there can be none.
    ///
    /// # Panics
    ///
    /// If a daemon does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        if !Self::is_possible() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("bus.conf");
        std::fs::write(&config, BUS_CONFIG).expect("written");
        let mut bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().expect("piped")).read_line(&mut address).expect("read");
        let address = address.trim().to_owned();
        let mut session = Self { folder, bus, address, daemon: None };
        session.start_daemon();
        Some(session)
    }

    /// The variables by which a program finds the session.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let folder = self.folder.path().display().to_string();
        [("DBUS_SESSION_BUS_ADDRESS", self.address.clone()), ("XDG_RUNTIME_DIR", folder)]
    }

    /// Lets `command` find the session.
    pub fn enter(&self, command: &mut Command) {
        command.envs(self.variables()).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    }

    /// Starts the keyring anew, unlocked, as at sign-in.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_daemon(&mut self) {
        self.kill_daemon();
        let mut command = Command::new("gnome-keyring-daemon");
        command
            .args(["--unlock", "--foreground", "--components=secrets"])
            .env("HOME", self.folder.path())
            .env("XDG_DATA_HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.enter(&mut command);
        let mut daemon = command.spawn().expect("started");
        daemon.stdin.take().expect("piped").write_all(b"password").expect("written");
        self.daemon = Some(daemon);
        let start = Instant::now();
        while !self.answers() {
            assert!(start.elapsed() < STARTS_WITHIN, "the keyring does not answer");
            std::thread::yield_now();
        }
    }

    /// Kills the keyring; what it held is on its disk.
    pub fn kill_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            end(&mut daemon);
        }
    }

    /// Locks the keyring, as at the end of a session.
    ///
    /// # Panics
    ///
    /// If it cannot be locked.
    pub fn lock(&self) {
        let mut command = Command::new("dbus-send");
        command
            .args(["--session", "--print-reply", "--dest=org.freedesktop.secrets"])
            .args(["/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock"])
            .arg("array:objpath:/org/freedesktop/secrets/collection/login")
            .stdout(Stdio::null());
        self.enter(&mut command);
        assert!(command.status().is_ok_and(|status| status.success()), "it was not locked");
    }

    /// Stops the keyring: it answers nobody.
    pub fn pause_daemon(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume_daemon(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let daemon = self.daemon.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args([signal, &daemon]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal}");
    }

    /// The attributes and secrets of all items of `service`, as `secret-tool` prints them.
    ///
    /// # Panics
    ///
    /// If it cannot be asked.
    #[must_use]
    pub fn items(&self, service: &str) -> String {
        let mut command = Command::new("secret-tool");
        command.args(["search", "--all", "service", service]);
        self.enter(&mut command);
        let output = command.output().expect("started");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn answers(&self) -> bool {
        let mut command = Command::new("secret-tool");
        command.args(["search", "service", "nobody"]);
        self.enter(&mut command);
        command.output().is_ok_and(|output| output.stderr.is_empty())
    }
}

impl Drop for SessionKeyring {
    fn drop(&mut self) {
        self.kill_daemon();
        end(&mut self.bus);
        // A bus that is killed leaves its socket: `unix:path=PATH,guid=..`.
        if let Some(socket) = self.address.split(['=', ',']).nth(1) {
            drop(std::fs::remove_file(socket));
        }
    }
}

fn end(child: &mut Child) {
    // Both fail only if it is gone already.
    drop(child.kill());
    drop(child.wait());
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
