//! Places where a token endpoint should be and is not.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::token_endpoint::{HttpTokenEndpoint, HttpTokenEndpointConfig};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};

/// What is found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    /// Nobody listens.
    Refused,
    /// No such host.
    Unresolved,
    /// A server that speaks no TLS.
    Unencrypted,
    /// A server that hears everything and says nothing.
    Silent,
    /// A server so busy that no connection comes about.
    Unaccepted,
    /// A server that speaks something else than HTTP.
    Foreign,
}

impl Socket {
    pub(super) const ALL: [Self; 6] = [
        Self::Refused,
        Self::Unresolved,
        Self::Unencrypted,
        Self::Silent,
        Self::Unaccepted,
        Self::Foreign,
    ];
}

/// All of them, open until this is dropped.
pub(super) struct Sockets {
    endpoints: Vec<HttpTokenEndpoint>,
    /// Fill the queue of the one that accepts nobody.
    _queued: Vec<TcpStream>,
    _servers: Runtime,
}

impl Sockets {
    /// `plain` is a server without TLS.
    pub(super) fn open(plain: SocketAddr) -> Self {
        let servers =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (silent, unaccepted, foreign) = servers.block_on(async {
            let silent = listen(128);
            let foreign = listen(128);
            let addresses = (address(&silent), address(&foreign));
            drop(tokio::spawn(keep_silent(silent)));
            drop(tokio::spawn(speak_otherwise(foreign)));
            let full = listen(1);
            let unaccepted = address(&full);
            // It listens as long as the runtime lives.
            drop(tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(full);
            }));
            (addresses.0, unaccepted, addresses.1)
        });
        let url = |socket| match socket {
            // Nobody has the first port.
            Socket::Refused => "http://127.0.0.1:1".to_owned(),
            // Too long for any name server to be asked.
            Socket::Unresolved => format!("https://{}.invalid", "x".repeat(64)),
            Socket::Unencrypted => format!("https://{plain}"),
            Socket::Silent => format!("http://{silent}"),
            Socket::Unaccepted => format!("http://{unaccepted}"),
            Socket::Foreign => format!("http://{foreign}"),
        };
        Self {
            endpoints: Socket::ALL.map(|socket| endpoint(&url(socket))).into(),
            _queued: fill(unaccepted),
            _servers: servers,
        }
    }

    pub(super) fn endpoint(&self, socket: Socket) -> &HttpTokenEndpoint {
        let place = Socket::ALL.iter().position(|known| *known == socket);
        &self.endpoints[place.expect("all are open")]
    }
}

/// A client of the token endpoint at `url`, without its path.
pub(super) fn endpoint(url: &str) -> HttpTokenEndpoint {
    let at = |path| format!("{url}{path}").parse().expect("a URL");
    let config = HttpTokenEndpointConfig::new(
        at("/oauth/token"),
        at("/oauth/revoke"),
        "client",
        "endpoint_failure",
    );
    HttpTokenEndpoint::new(config, Environment::default())
}

fn listen(queue: u32) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    socket.listen(queue).expect("a listener")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("bound")
}

/// Connects until one more is not let in.
fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let queued: Vec<_> = std::iter::from_fn(connect).take(64).collect();
    assert!(queued.len() < 64, "a short queue takes everybody here");
    queued
}

async fn keep_silent(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        drop(tokio::spawn(async move {
            // Until its client leaves.
            drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
        }));
    }
}

async fn speak_otherwise(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = stream.into_std() else { continue };
        drop(stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n"));
    }
}
