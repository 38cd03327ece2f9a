//! A real proxy, tinyproxy, that asks for a user and a password.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Stdio};

use codex_auth_tests::privilege::is_denied;
use tempfile::TempDir;

pub(crate) const USER: &str = "somebody";
pub(crate) const PASSWORD: &str = "open-sesame";

/// Whether there is no such proxy.
pub(crate) fn is_proxy_denied() -> bool {
    is_denied("tinyproxy", "install tinyproxy", Command::new("tinyproxy").arg("-v"))
}

/// A proxy that runs until this is dropped.
pub(crate) struct Proxy {
    child: Child,
    log: BufReader<ChildStdout>,
    address: SocketAddr,
    _folder: TempDir,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tinyproxy.conf");
        let address = free_address();
        let (host, port) = (address.ip(), address.port());
        let lines =
            format!("Listen {host}\nPort {port}\nLogLevel Info\nBasicAuth {USER} {PASSWORD}\n");
        fs::write(&file, lines).expect("written");
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&file).stdout(Stdio::piped());
        let mut child = command.spawn().expect("tinyproxy");
        let mut log = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("Accepting connections") {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("text"), 0, "tinyproxy has ended");
        }
        Self { child, log, address, _folder: folder }
    }

    /// Where it is, for one who knows `password`.
    pub(crate) fn url(&self, password: &str) -> String {
        format!("http://{USER}:{password}@{}", self.address)
    }

    /// Ends it: what it was asked for, by its own log, which it writes before it does anything.
    pub(crate) fn end(mut self) -> Vec<String> {
        self.child.kill().expect("killed");
        let lines = self.log.by_ref().lines().map(|line| line.expect("text"));
        let requests = lines.filter(|line| line.contains("Request (file descriptor"));
        requests.map(|line| line.rsplit("): ").next().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A free port of a loopback address that only this process uses: tinyproxy cannot say which port
/// it was given.
#[expect(clippy::disallowed_methods, reason = "to name an address, not to compare")]
fn free_address() -> SocketAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, a | 0x80, b, c);
    TcpListener::bind((host, 0)).and_then(|listener| listener.local_addr()).expect("a port")
}
