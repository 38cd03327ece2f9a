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
mod metrics;
mod room;
mod server;
mod sink;
mod sinks;
mod socket;

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::bearer::Bearer;
use self::desk::Desk;
use self::gate::{Gate, Visitors};
use self::login::Login;
use self::server::Server;
pub(crate) use self::sink::SinkOptions;
use self::sinks::Sinks;
use self::socket::Socket;
use crate::error::{Error, ErrorKind, Result};
use crate::manager::AuthManager;
use crate::storage::agent::Place;

/// A login that an agent hands out.
#[derive(Debug)]
pub(crate) struct LoginOptions {
    /// The name by which programs ask for it.
    pub(crate) name: String,
    pub(crate) manager: AuthManager,
    /// The folders that get access-only copies of it.
    pub(crate) sinks: Vec<SinkOptions>,
}

/// Where an agent answers, and to which programs.
#[derive(Debug, Default)]
pub(crate) struct AgentOptions {
    /// A socket on which a service manager listens for the agent, in the place of one of its own.
    pub(crate) listener: Option<UnixListener>,
    /// The path of its own Unix socket; the default one if none is named.
    pub(crate) socket: Option<PathBuf>,
    /// The users that may use the socket besides this one, by their numbers.
    pub(crate) users: Vec<u32>,
    /// An address of loopback on which the agent answers too.
    pub(crate) listen: Option<SocketAddr>,
    /// The names of this machine, besides those of loopback, by which programs reach that address.
    pub(crate) hosts: Vec<String>,
    /// The file with the secret of programs whose user is not known.
    pub(crate) bearer: Option<PathBuf>,
}

/// An agent that listens. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Agent {
    places: Vec<Place>,
    sinks: Vec<(String, Sinks)>,
    _tasks: JoinSet<()>,
}

impl Agent {
    /// Starts to listen, and hands out `logins`: the first one to programs that name none.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the place, the file of the bearer or a sink makes no sense;
    /// `store_unavailable` if another agent listens there, or if the place cannot be used.
    pub(crate) async fn open(logins: Vec<LoginOptions>, options: AgentOptions) -> Result<Self> {
        sinks::check(&logins.iter().flat_map(|login| &login.sinks).collect::<Vec<_>>())?;
        let bearer = options.bearer.as_deref().map(Bearer::open).transpose()?.map(Arc::new);
        let is_shared = !options.users.is_empty() || bearer.is_some();
        let visitors = Visitors::users(options.users)?;
        let socket = match options.listener {
            Some(listener) => Socket::adopt(listener, is_shared)?,
            None => Socket::bind(options.socket, is_shared).await?,
        };
        // The rest is for the one agent that has the socket.
        let (mut tasks, mut sinks, mut named) = (JoinSet::new(), Vec::new(), Vec::new());
        for LoginOptions { name, manager, sinks: wanted } in logins {
            let login = Arc::new(Login::new(manager)?);
            let mut own = Sinks::of(Arc::clone(&login));
            for sink in wanted {
                own.start(sink).await?;
            }
            sinks.push((name.clone(), own));
            tasks.spawn(Arc::clone(&login).follow());
            named.push((name, login));
        }
        let desk = Arc::new(Desk::new(named));
        let mut places = vec![Place::Socket(socket.path().to_owned())];
        let gate = Gate::new(visitors, bearer.clone());
        let room = room::for_each(1 + usize::from(options.listen.is_some()));
        tasks.spawn(Server::new(socket, room, gate, Arc::clone(&desk)).serve());
        if let Some(address) = options.listen {
            let listener = TcpListener::bind(address).await;
            let listener = listener.map_err(|error| cannot_listen(&address, &error))?;
            let address = listener.local_addr().unwrap_or(address);
            places.push(address.into());
            let gate = Gate::new(Visitors::hosts(address, options.hosts), bearer);
            tasks.spawn(Server::new(listener, room, gate, desk).serve());
        }
        Ok(Self { places, sinks, _tasks: tasks })
    }

    /// Returns where the agent listens.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Gives each login the sinks that are `wanted` for its name. Those that run go on, and those that
    /// have stopped start again. One that cannot be opened is warned of, and keeps no other from that.
    ///
    /// # Errors
    ///
    /// `invalid_option` if two of them are one folder. Then nothing changes.
    pub(crate) async fn set_sinks(&mut self, wanted: &[(&str, &[SinkOptions])]) -> Result<()> {
        sinks::check(&wanted.iter().flat_map(|(_, sinks)| *sinks).collect::<Vec<_>>())?;
        let of = |name: &str| wanted.iter().find(|(login, _)| *login == name).map(|(_, it)| *it);
        // A folder may go from one login to another.
        for (login, sinks) in &mut self.sinks {
            sinks.keep(of(login).unwrap_or_default());
        }
        for (login, sinks) in &mut self.sinks {
            for options in of(login).unwrap_or_default() {
                if let Err(error) = sinks.start(options.clone()).await {
                    tracing::warn!(%login, "a sink is not started: {error}");
                }
            }
        }
        Ok(())
    }
}

fn cannot_listen(address: &SocketAddr, error: &std::io::Error) -> Error {
    let message = format!("cannot listen on {address}: {error}; name another port");
    Error::new(ErrorKind::StoreUnavailable, message)
}
