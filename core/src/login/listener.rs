//! The server that receives the redirect of the browser, on loopback (RFC 8252, section 7.3).

use std::convert::Infallible;
use std::net::Ipv4Addr;
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
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::callback::Callback;
use super::page::Page;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

const PATH: &str = "/auth/callback";

/// How long a client may take to send the head of its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes. No redirect needs more.
const LONGEST_HEAD: usize = 16 * 1024;

/// The most connections at a time. One that sends nothing is closed after [`PATIENCE`].
const MOST_CONNECTIONS: usize = 256;

/// A listener on a port of this machine that waits for one redirect. Dropping it frees the port and
/// ends all connections.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    port: u16,
    /// The connections; the result of each is whether it brought the redirect.
    connections: JoinSet<bool>,
}

/// A browser that has brought the redirect and waits for a page.
#[derive(Debug)]
pub(crate) struct Waiting(oneshot::Sender<Page>);

impl Listener {
    /// Listens on the first of `ports` that is free. 0 is any free port.
    ///
    /// # Errors
    ///
    /// `login_port_busy` if none is free.
    pub(crate) async fn bind(ports: &[u16]) -> Result<Self> {
        let mut why = None;
        for port in ports {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).await {
                Ok(listener) => {
                    let port = listener.local_addr().map_or(*port, |address| address.port());
                    return Ok(Self { listener, port, connections: JoinSet::new() });
                }
                Err(error) => why = Some(error),
            }
        }
        let message = format!(
            "none of the ports {ports:?} of 127.0.0.1 is free for the redirect; another program \
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
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            tokio::select! {
                Some(arrived) = arrivals.recv() => return arrived,
                Some(_) = self.connections.join_next() => {}
                connection = accept(&self.listener, &places) => {
                    let (connection, place) = connection;
                    let desk = Arc::clone(&desk);
                    self.connections.spawn(async move {
                        let has_brought = serve(connection, desk).await;
                        drop(place);
                        has_brought
                    });
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

#[cfg(unix)]
impl Drop for Listener {
    fn drop(&mut self) {
        // A forked child has the socket too. Without this, the port would be busy until the child
        // ends.
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).unwrap_or_default();
    }
}

/// Accepts the next connection. Returns it with its permit.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, tokio::sync::OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("never closed");
    loop {
        // An error means that the client gave up, or that this process has no file descriptor left
        // for now. In both cases the next connection may succeed.
        if let Ok((connection, _)) = listener.accept().await {
            return (connection, place);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Serves a connection. Returns whether it brought the redirect.
async fn serve(connection: TcpStream, desk: Arc<Desk>) -> bool {
    let has_brought = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
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
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[tokio::test]
    async fn a_child_that_has_the_socket_does_not_keep_the_port() {
        let listener = Listener::bind(&[0]).await.expect("a port");
        let port = listener.port();
        let inherited = listener.listener.as_fd().try_clone_to_owned().expect("a copy");
        drop(listener);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
        let again = Listener::bind(&[port]).await.expect("free again");
        assert_eq!(again.port(), port);
        drop(inherited);
    }
}
