//! A loopback OAuth issuer that can misbehave in every way a real one might: an authorization
//! server, a protected API, and a control API for tests. `tests/README.md` is its reference.

mod api;
mod client;
mod config;
mod control;
mod faults;
mod gate;
mod labels;
mod matcher;
mod minting;
mod process;
mod questions;
mod realm;
mod records;
mod reply;
mod request;
mod server;
mod sign_in;
mod socket;
mod state;
mod stats;
mod token_endpoint;
mod workspaces;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

pub use client::{Realm, Reply};
pub use process::IssuerProcess;

/// An issuer inside of this process, on threads of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Issuer {
    /// Listens on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// If threads or a port cannot be had.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(4)
            .thread_name("test-issuer")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let world = server::World::new(format!("http://{address}"));
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        drop(runtime.spawn(server::serve(listener, Arc::new(world))));
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The realm of this name; `""` is the one without a prefix.
    #[must_use]
    pub fn realm(&self, name: &str) -> Realm {
        Realm::new(self.address, name)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // Requests may be held or hanging, and this may be an async test: wait for nothing.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
