//! The agent: hands out the access token of a login to programs that must not have its refresh token.
//!
//! It keeps the login fresh, and answers on a Unix socket and, where that is asked for, by HTTP on
//! loopback.

mod answer;
mod bearer;
mod connections;
mod desk;
mod gate;
#[cfg(test)]
mod heard;
mod login;
mod room;
mod server;
mod sink;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::bearer::Bearer;
use self::desk::Desk;
use self::gate::{Gate, Visitors};
use self::login::Login;
use self::server::Server;
use self::sink::Sink;
pub(crate) use self::sink::SinkOptions;
use self::socket::Socket;
use crate::error::{Error, ErrorKind, Result};
use crate::manager::AuthManager;
use crate::storage::agent::Place;

/// Where an agent answers, to which programs, and where it writes copies.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentOptions {
    /// The Unix socket; the default one if none is named.
    pub(crate) socket: Option<PathBuf>,
    /// The users that may use the socket besides this one, by their numbers.
    pub(crate) users: Vec<u32>,
    /// An address of loopback on which the agent answers too.
    pub(crate) listen: Option<SocketAddr>,
    /// The names of this machine, besides those of loopback, by which programs reach that address.
    pub(crate) hosts: Vec<String>,
    /// The file with the secret of programs whose user is not known.
    pub(crate) bearer: Option<PathBuf>,
    /// The folders that get access-only copies.
    pub(crate) sinks: Vec<SinkOptions>,
}

/// An agent that listens. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Agent {
    servers: Vec<Server>,
    places: Vec<Place>,
    sinks: Vec<Sink>,
    login: Arc<Login>,
}

impl Agent {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the place, the file of the bearer or a sink makes no sense;
    /// `store_unavailable` if another agent listens there, or if the place cannot be used.
    pub(crate) async fn open(manager: AuthManager, options: AgentOptions) -> Result<Self> {
        let bearer = options.bearer.as_deref().map(Bearer::open).transpose()?.map(Arc::new);
        let is_shared = !options.users.is_empty() || bearer.is_some();
        let visitors = Visitors::users(options.users)?;
        let socket = Socket::bind(options.socket, is_shared).await?;
        // The rest is for the one agent that has the socket.
        let mut sinks = Vec::new();
        for sink in options.sinks {
            sinks.push(Sink::open(sink).await?);
        }
        let login = Arc::new(Login::new(manager)?);
        let desk = Arc::new(Desk::new(Arc::clone(&login)));
        let mut places = vec![Place::Socket(socket.path().to_owned())];
        let gate = Gate::new(visitors, bearer.clone());
        let room = room::for_each(1 + usize::from(options.listen.is_some()));
        let mut servers = vec![Server::new(socket, room, gate, Arc::clone(&desk))];
        if let Some(address) = options.listen {
            let listener = TcpListener::bind(address).await;
            let listener = listener.map_err(|error| cannot_listen(&address, &error))?;
            let address = listener.local_addr().unwrap_or(address);
            places.push(address.into());
            let gate = Gate::new(Visitors::hosts(address, options.hosts), bearer);
            servers.push(Server::new(listener, room, gate, desk));
        }
        Ok(Self { servers, places, sinks, login })
    }

    /// Returns where the agent listens.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Serves until the future is dropped.
    pub(crate) async fn serve(self) {
        let Self { servers, sinks, login, .. } = self;
        let mut tasks = JoinSet::new();
        for server in servers {
            tasks.spawn(server.serve());
        }
        for sink in sinks {
            tasks.spawn(sink.follow(Arc::clone(&login)));
        }
        // The login is followed for ever; of the tasks only sinks end.
        tokio::join!(login.follow(), async { while tasks.join_next().await.is_some() {} });
    }
}

fn cannot_listen(address: &SocketAddr, error: &std::io::Error) -> Error {
    let message = format!("cannot listen on {address}: {error}; name another port");
    Error::new(ErrorKind::StoreUnavailable, message)
}
