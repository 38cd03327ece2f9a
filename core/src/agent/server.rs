//! Listens, and serves each connection by HTTP/1.1.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::answer::turn_away;
use super::connections::{Connections, Requests};
use super::desk::Desk;
use super::gate::Gate;
use super::socket::Socket;

/// How long a client may take to send the head of a request, and be silent between two.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// One of the places at which an agent listens.
#[derive(Debug)]
pub(super) struct Server {
    listener: Listener,
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
    pub(super) fn new(listener: impl Into<Listener>, gate: Gate, desk: Arc<Desk>) -> Self {
        Self { listener: listener.into(), reception: Arc::new(Reception { gate, desk }) }
    }

    /// Serves until the future is dropped.
    pub(super) async fn serve(self) {
        let mut connections = Connections::default();
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
                let peer = stream.peer_cred().ok();
                // The number of a process that this one cannot see is 0.
                let process = peer.and_then(|peer| peer.pid()).filter(|process| *process > 0);
                let user = peer.map(|peer| peer.uid());
                let serve = |requests| reception.serve(stream, user, requests);
                connections.add(process, serve);
            }
            Stream::Tcp(stream) => {
                connections.add(None, |requests| reception.serve(stream, None, requests));
            }
        }
    }
}

impl Listener {
    async fn accept(&self) -> Stream {
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
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
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
        let service = service_fn(|request: http::Request<_>| {
            let (reception, answering) = (Arc::clone(&self), requests.begin());
            async move {
                let reply = match reception.gate.admit(user, request.headers()) {
                    Ok(()) => reception.desk.answer(request).await,
                    Err(refused) => turn_away(&refused),
                };
                drop(answering);
                Ok::<_, Infallible>(reply)
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        // A failure of the connection matters to its client only.
        drop(served.await);
    }
}
