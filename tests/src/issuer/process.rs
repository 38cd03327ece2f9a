//! The issuer as a process of its own, for tests that fork, kill or exit.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::client::Realm;
use crate::program;

/// A running `test-issuer`. It ends when this is dropped, or when this process dies.
#[derive(Debug)]
pub struct IssuerProcess {
    child: Child,
    address: SocketAddr,
}

impl IssuerProcess {
    /// Starts the binary that was built beside this test.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not say where it listens.
    pub fn spawn() -> io::Result<Self> {
        Self::spawn_at(&program::beside_this_one("test-issuer")?)
    }

    /// Starts the binary at `path`.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not say where it listens.
    pub fn spawn_at(path: &Path) -> io::Result<Self> {
        Self::spawn_by(&mut Command::new(path))
    }

    /// Starts another program that says where it listens in the same way.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not say so.
    pub fn spawn_by(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let ready: Value = serde_json::from_str(&line)?;
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or_else(|| io::Error::other("the issuer names no port"))?;
        Ok(Self { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) })
    }

    /// The realm of this name; `""` is the one without a prefix.
    #[must_use]
    pub fn realm(&self, name: &str) -> Realm {
        Realm::new(self.address, name)
    }
}

impl Drop for IssuerProcess {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
