//! The server that receives the redirect of the browser, on loopback (RFC 8252, section 7.3).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::callback::Callback;
use super::page::Page;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

const PATH: &str = "/auth/callback";

/// How long a client may take to send the head of its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes. No redirect needs more.
const LONGEST_HEAD: usize = 16 * 1024;

/// The most connections at a time. One that sends nothing is closed after [`PATIENCE`], and at once
/// if it is the oldest of so many.
const MOST_CONNECTIONS: usize = 64;

/// How the redirect names this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedirectHost {
    /// 127.0.0.1, on which no other program can listen meanwhile.
    Address,
    /// `localhost`, for servers that know this name only. A browser may take it for ::1 too.
    Localhost,
}

impl RedirectHost {
    /// Returns the address of the redirect on `port`.
    pub(crate) fn redirect_uri(self, port: u16) -> String {
        let host = match self {
            Self::Address => "127.0.0.1",
            Self::Localhost => "localhost",
        };
        format!("http://{host}:{port}{PATH}")
    }
}

/// A listener on a port of this machine that waits for one redirect. Dropping it frees the port and
/// ends all connections.
#[derive(Debug)]
pub(crate) struct Listener {
    sockets: Sockets,
    port: u16,
    /// The connections; the result of each is whether it brought the redirect.
    connections: JoinSet<bool>,
    silent: Silent,
}

/// The sockets of all addresses to which a browser may resolve the host of the redirect.
#[derive(Debug)]
struct Sockets {
    v4: TcpListener,
    v6: Option<TcpListener>,
}

/// The connections that have sent no request yet, from the oldest.
#[derive(Debug, Default)]
struct Silent(VecDeque<(AbortHandle, Arc<AtomicBool>)>);

/// A browser that has brought the redirect and waits for a page.
#[derive(Debug)]
pub(crate) struct Waiting(oneshot::Sender<Page>);

impl Listener {
    /// Listens on the first of `ports` that is free for `host`. 0 is any free port.
    ///
    /// # Errors
    ///
    /// `login_port_busy` if none is free.
    pub(crate) async fn bind(ports: &[u16], host: RedirectHost) -> Result<Self> {
        let mut why = None;
        for port in ports {
            match Sockets::bind(*port, host).await {
                Ok((sockets, port)) => {
                    let (connections, silent) = (JoinSet::new(), Silent::default());
                    return Ok(Self { sockets, port, connections, silent });
                }
                Err(error) => why = Some(error),
            }
        }
        let message = format!(
            "none of the ports {ports:?} of this machine is free for the redirect; another program \
             may be signing in: try again later, or sign in with the option manual"
        );
        let error = Error::new(ErrorKind::LoginPortBusy, message);
        Err(why.into_iter().fold(error, Error::with_source))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the one redirect that answers the request with `state`, and refuses all others.
    pub(crate) async fn arrival(&mut self, state: Secret) -> (Callback, Waiting) {
        let (sender, mut arrivals) = mpsc::channel(1);
        let desk = Arc::new(Desk {
            state,
            hosts: ["localhost", "127.0.0.1"].map(|host| format!("{host}:{}", self.port)),
            is_taken: AtomicBool::new(false),
            arrivals: sender,
        });
        loop {
            tokio::select! {
                // What has ended makes room before the next connection is accepted.
                biased;
                Some(arrived) = arrivals.recv() => return arrived,
                Some(_) = self.connections.join_next() => {}
                connection = self.sockets.accept(),
                    if self.connections.len() <= MOST_CONNECTIONS =>
                {
                    if self.connections.len() == MOST_CONNECTIONS {
                        self.silent.end_oldest();
                    }
                    let has_spoken = Arc::new(AtomicBool::new(false));
                    let serving = serve(connection, Arc::clone(&desk), Arc::clone(&has_spoken));
                    let connection = self.connections.spawn(serving);
                    self.silent.add(connection, has_spoken);
                }
            }
        }
    }

    /// Shows `page` in the browser, if it still waits for one.
    pub(crate) async fn show(&mut self, waiting: Waiting, page: Page) {
        if waiting.0.send(page).is_err() {
            return;
        }
        // The connection of the browser ends once the page is sent.
        while let Some(ended) = self.connections.join_next().await {
            if matches!(ended, Ok(true)) {
                return;
            }
        }
    }
}

impl Sockets {
    /// Listens on `port` of each address of `host`. Returns the port too.
    async fn bind(port: u16, host: RedirectHost) -> io::Result<(Self, u16)> {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = v4.local_addr()?.port();
        if host == RedirectHost::Address {
            return Ok((Self { v4, v6: None }, port));
        }
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(v6) => Ok((Self { v4, v6: Some(v6) }, port)),
            // The program that listens there would get the code.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            // This machine has no IPv6, so no program listens there.
            Err(_) => Ok((Self { v4, v6: None }, port)),
        }
    }

    async fn accept(&self) -> TcpStream {
        let on_v6 = async || match &self.v6 {
            Some(v6) => v6.accept().await,
            None => pending().await,
        };
        loop {
            let accepted = tokio::select! {
                accepted = self.v4.accept() => accepted,
                accepted = on_v6() => accepted,
            };
            // An error means that the client gave up, or that this process has no file descriptor
            // left for now. In both cases the next connection may succeed.
            if let Ok((connection, _)) = accepted {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[cfg(unix)]
impl Drop for Sockets {
    fn drop(&mut self) {
        // A forked child has the sockets too. Without this, the port would be busy until the child
        // ends.
        for socket in [Some(&self.v4), self.v6.as_ref()].into_iter().flatten() {
            rustix::net::shutdown(socket, rustix::net::Shutdown::Both).unwrap_or_default();
        }
    }
}

impl Silent {
    fn add(&mut self, connection: AbortHandle, has_spoken: Arc<AtomicBool>) {
        self.forget_others();
        self.0.push_back((connection, has_spoken));
    }

    /// Ends the oldest of these connections, if there is one.
    fn end_oldest(&mut self) {
        self.forget_others();
        if let Some((connection, _)) = self.0.pop_front() {
            connection.abort();
        }
    }

    /// Forgets the connections that have sent a request or have ended.
    fn forget_others(&mut self) {
        self.0.retain(|(connection, has_spoken)| {
            !connection.is_finished() && !has_spoken.load(Ordering::SeqCst)
        });
    }
}

/// Serves a connection, and notes once it `has_spoken`. Returns whether it brought the redirect.
async fn serve(connection: TcpStream, desk: Arc<Desk>, has_spoken: Arc<AtomicBool>) -> bool {
    let has_brought = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
        has_spoken.store(true, Ordering::SeqCst);
        let (desk, has_brought) = (Arc::clone(&desk), Arc::clone(&has_brought));
        async move { Ok::<_, Infallible>(desk.answer(&request, &has_brought).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), service);
    // A failure of the connection matters to its client only.
    drop(served.await);
    has_brought.load(Ordering::SeqCst)
}

/// What all connections share: the expected state, and the channel for the redirect.
#[derive(Debug)]
struct Desk {
    state: Secret,
    hosts: [String; 2],
    is_taken: AtomicBool,
    arrivals: mpsc::Sender<(Callback, Waiting)>,
}

impl Desk {
    async fn answer(
        &self,
        request: &Request<Incoming>,
        has_brought: &AtomicBool,
    ) -> Response<String> {
        let page = match self.read(request) {
            Ok(_) if self.is_taken.swap(true, Ordering::SeqCst) => Page::NotOurs,
            Ok(callback) => {
                has_brought.store(true, Ordering::SeqCst);
                self.hand_over(callback).await
            }
            Err(page) => page,
        };
        page.response()
    }

    fn read(&self, request: &Request<Incoming>) -> std::result::Result<Callback, Page> {
        // Another site may resolve its own name to this address (DNS rebinding).
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        if !host.is_some_and(|host| self.hosts.iter().any(|known| known == host)) {
            return Err(Page::NotFound);
        }
        if request.uri().path() != PATH {
            return Err(Page::NotFound);
        }
        if request.method() != Method::GET {
            return Err(Page::NotAllowed);
        }
        let query = request.uri().query().unwrap_or_default();
        Callback::parse(query, &self.state).map_err(|_| Page::NotOurs)
    }

    async fn hand_over(&self, callback: Callback) -> Page {
        let (page, decided) = oneshot::channel();
        // Both fail if the sign-in is over.
        match self.arrivals.send((callback, Waiting(page))).await {
            Ok(()) => decided.await.unwrap_or(Page::Failed),
            Err(_) => Page::NotOurs,
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
