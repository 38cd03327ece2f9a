//! Listens, and serves each connection by HTTP/1.1.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::answer::{Reply, turn_away};
use super::connections::{Connections, Peer, Requests};
use super::desk::Desk;
use super::gate::Gate;
use super::room;
use super::socket::Socket;

/// How long a client may take to send the head of a request, and be silent between two.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// One of the places at which an agent listens.
#[derive(Debug)]
pub(super) struct Server {
    listener: Listener,
    /// How many connections it may have.
    room: usize,
    reception: Arc<Reception>,
}

#[derive(Debug)]
pub(super) enum Listener {
    Socket(Socket),
    Address(TcpListener),
}

/// A connection, before its first request.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// What all connections of a place share.
#[derive(Debug)]
struct Reception {
    gate: Gate,
    desk: Arc<Desk>,
}

impl From<Socket> for Listener {
    fn from(socket: Socket) -> Self {
        Self::Socket(socket)
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Address(listener)
    }
}

impl Server {
    /// `room` is the number of connections at a time.
    pub(super) fn new(
        listener: impl Into<Listener>,
        room: usize,
        gate: Gate,
        desk: Arc<Desk>,
    ) -> Self {
        Self { listener: listener.into(), room, reception: Arc::new(Reception { gate, desk }) }
    }

    /// Serves until the future is dropped.
    pub(super) async fn serve(mut self) {
        let mut connections = Connections::new(self.room);
        loop {
            tokio::select! {
                // What has ended makes room before the next connection is accepted.
                biased;
                () = connections.ended() => {}
                stream = self.listener.accept() => self.receive(stream, &mut connections),
            }
        }
    }

    fn receive(&self, stream: Stream, connections: &mut Connections) {
        let reception = Arc::clone(&self.reception);
        match stream {
            Stream::Unix(stream) => {
                let peer = stream.peer_cred().ok().map(|peer| Peer {
                    user: peer.uid(),
                    // The number of a process that this one cannot see is 0.
                    process: peer.pid().filter(|process| *process > 0),
                });
                let user = peer.map(|peer| peer.user);
                connections.add(peer, |requests| reception.serve(stream, user, requests));
            }
            Stream::Tcp(stream) => {
                connections.add(None, |requests| reception.serve(stream, None, requests));
            }
        }
    }
}

impl Listener {
    async fn accept(&mut self) -> Stream {
        loop {
            let accepted: io::Result<_> = match self {
                Self::Socket(socket) => socket.accept().await.map(Stream::Unix),
                Self::Address(listener) => {
                    listener.accept().await.map(|(stream, _)| Stream::Tcp(stream))
                }
            };
            // An error means that the client gave up, or that this process has no file descriptor
            // left for now. In both cases the next connection may succeed.
            match accepted {
                Ok(stream) => return stream,
                Err(error) => {
                    room::warn_of(&error);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Reception {
    /// Serves a connection of the user `user`, if the system tells.
    async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        user: Option<u32>,
        requests: Requests,
    ) {
        let service = service_fn(|request| {
            let (reception, requests) = (Arc::clone(&self), requests.clone());
            async move { Ok::<_, Infallible>(reception.reply(user, request, &requests).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        // A failure of the connection matters to its client only.
        drop(served.await);
    }
    /// Returns the reply to a `request` of the user `user`, which is one of the connection's
    /// `requests`.
    async fn reply(
        &self,
        user: Option<u32>,
        request: Request<Incoming>,
        requests: &Requests,
    ) -> Reply {
        if let Err(refused) = self.gate.admit(user, request.headers()) {
            return turn_away(&refused);
        }
        // A client that waits for a change gives way to one that needs a token now.
        self.desk.wait_for_change(&request).await;
        let _answering = requests.begin();
        self.desk.answer(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::Visitors;
    use super::super::login::Login;
    use super::*;
    use crate::manager::AuthManager;

    /// Writes `text` to `stream`.
    async fn write(stream: &UnixStream, text: &str) {
        stream.writable().await.expect("open");
        assert_eq!(stream.try_write(text.as_bytes()).expect("written"), text.len());
    }

    #[tokio::test]
    async fn a_client_that_waits_for_a_change_gives_way() {
        let home = tempfile::tempdir().expect("a folder");
        let manager = AuthManager::builder().codex_home(home.path()).build().await;
        let login = Arc::new(Login::new(manager.expect("a manager")).expect("a login"));
        let gate = Gate::new(Visitors::users(Vec::new()).expect("this user"), None);
        let desk = Arc::new(Desk::new(vec![("default".to_owned(), Arc::clone(&login))]));
        let reception = Arc::new(Reception { gate, desk });
        let (client, stream) = UnixStream::pair().expect("connected");
        let (user, requests) = (Some(rustix::process::geteuid().as_raw()), Requests::default());
        let served = tokio::spawn(reception.serve(stream, user, requests.clone()));
        let poll = format!("GET /v1/token?after={} HTTP/1.1\r\nhost: l\r\n\r\n", login.now().1);
        write(&client, &poll).await;
        let answered = tokio::time::timeout(Duration::from_millis(50), client.readable()).await;
        assert!(answered.is_err(), "it waits");
        assert!(requests.are_none());
        drop(client);
        served.await.expect("no panic");
    }
}
