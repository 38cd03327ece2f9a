//! Requests to an agent. A connection is kept for the next one.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::address::Place;
use super::bearer_file::BearerFile;
#[cfg(unix)]
use super::folder_trust;
use super::message::LARGEST;
use super::nearness::Nearness;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;
#[cfg(unix)]
use crate::storage::file_calls::FileCalls;

/// More than an agent lets a client wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client waits that had no room in the queue of a socket.
#[cfg(unix)]
const PAUSE: Duration = Duration::from_millis(20);

/// The most connections at a time: an agent keeps one more of one process, which waits for news.
const MOST: usize = 7;

type Sender = SendRequest<Full<Bytes>>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The way to an agent.
#[derive(Debug)]
pub(super) struct Connection {
    place: Place,
    bearer: Option<BearerFile>,
    /// The way to ask for the folder of a socket.
    #[cfg(unix)]
    calls: Option<FileCalls>,
    environment: Environment,
    /// A forked child does not use the connections of its parent.
    pool: PerProcess<Pool>,
}

/// The connections of one process.
#[derive(Debug)]
struct Pool {
    /// Those without a request.
    idle: Mutex<Vec<Sender>>,
    /// Room for those with one.
    room: Semaphore,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: Mutex::default(), room: Semaphore::new(MOST) }
    }
}

impl Pool {
    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        idle.pop()
    }

    fn keep(&self, sender: Sender) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    }
}

#[derive(Debug)]
pub(super) enum Request {
    Get { path: String },
    Post { path: String, body: Vec<u8> },
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Connection {
    /// Nothing is sent yet.
    pub(super) fn new(place: Place, environment: Environment) -> Self {
        Self {
            bearer: BearerFile::named(&environment),
            #[cfg(unix)]
            calls: place.socket().map(|path| {
                let folder = path.parent().unwrap_or(path);
                FileCalls::on(folder, [(); 2].map(|()| path.to_owned()), environment.clone())
            }),
            place,
            environment,
            pool: PerProcess::new(),
        }
    }

    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Sends `request`, and waits for the answer.
    ///
    /// # Errors
    ///
    /// `store_unavailable` if there is none in time.
    pub(super) async fn answer(&self, request: &Request) -> Result<Response> {
        let exchanged = self.environment.within(PATIENCE, self.exchange(request)).await;
        let unanswered = || Err(format!("there is no answer within {PATIENCE:?}").into());
        exchanged.unwrap_or_else(unanswered).map_err(|failure: Failure| {
            let place = &self.place;
            let message = format!(
                "the agent at {place} cannot be asked: {failure}; see that it runs: codex-auth-sdk \
                 agent"
            );
            Error::new(ErrorKind::StoreUnavailable, message).with_source(failure)
        })
    }

    async fn exchange(&self, request: &Request) -> Result<Response, Failure> {
        let pool = self.pool.get_or_default();
        let _room = pool.room.acquire().await?;
        if let Some(kept) = pool.take()
            && let Ok(response) = self.send(kept, request, &pool).await
        {
            return Ok(response);
        }
        // The agent has closed the kept connection, or is another one by now. Each request may be
        // made twice.
        self.send(self.connect().await?, request, &pool).await
    }

    async fn send(
        &self,
        mut sender: Sender,
        request: &Request,
        pool: &Pool,
    ) -> Result<Response, Failure> {
        sender.ready().await?;
        let response = sender.send_request(self.message(request).await?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes();
        pool.keep(sender);
        Ok(Response { status, body })
    }

    async fn message(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, Failure> {
        let (method, path, body) = match request {
            Request::Get { path } => (http::Method::GET, path, Bytes::new()),
            Request::Post { path, body } => (http::Method::POST, path, body.clone().into()),
        };
        let host = match &self.place {
            Place::Socket(_) => "localhost",
            Place::Http(authority) => authority,
        };
        let message = http::Request::builder().method(method).uri(path).header(HOST, host);
        let mut message = message.header(CONTENT_TYPE, "application/json").body(Full::new(body))?;
        if let Some(bearer) = &self.bearer {
            message.headers_mut().insert(AUTHORIZATION, bearer.authorization().await?);
        }
        Ok(message)
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        match &self.place {
            Place::Socket(path) => start(self.open_socket(path).await?).await,
            Place::Http(authority) => start(open_address(authority).await?).await,
        }
    }

    /// Connects to the socket at `path`, in a folder that is safe from other users.
    #[cfg(unix)]
    async fn open_socket(&self, path: &Path) -> Result<tokio::net::UnixStream, Failure> {
        if let Some(calls) = &self.calls {
            let folder = path.parent().unwrap_or(path).to_owned();
            let found = calls.make(move || Ok(folder_trust::open_to_others(&folder))).await??;
            if let Some(open) = found {
                let open = open.display();
                return Err(format!("other users may write to {open}: chmod go-w {open}").into());
            }
        }
        loop {
            match tokio::net::UnixStream::connect(path).await {
                // As many clients wait already as the system lets wait.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.environment.clock.sleep(PAUSE).await;
                }
                connected => return Ok(connected?),
            }
        }
    }

    #[cfg(not(unix))]
    async fn open_socket(&self, _: &Path) -> Result<TcpStream, Failure> {
        Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
    }
}

/// Starts HTTP on a connection.
async fn start<S>(stream: S) -> Result<Sender, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender, and the sender tells of its failures.
    drop(tokio::spawn(async move { drop(connection.await) }));
    Ok(sender)
}

/// Connects to an address of this machine, or of the one that it is a container of.
async fn open_address(authority: &str) -> Result<TcpStream, Failure> {
    let addresses = tokio::net::lookup_host(authority).await?;
    let nearness = Nearness::of(authority);
    let near: Vec<_> = addresses.filter(|address| nearness.has(address.ip())).collect();
    if near.is_empty() {
        let message = "is neither this machine nor the host of this container, and the secret would go \
                       there unencrypted";
        return Err(format!("{authority} {message}").into());
    }
    let stream = TcpStream::connect(&*near).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn connection(socket: &Path) -> Connection {
        Connection::new(Place::Socket(socket.to_owned()), Environment::default())
    }

    fn status() -> Request {
        Request::Get { path: "/v1/status".to_owned() }
    }

    /// An agent may end right when a request comes to a connection that was kept.
    #[tokio::test]
    async fn a_request_that_a_kept_connection_does_not_answer_is_made_again() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.sock");
        let listener = tokio::net::UnixListener::bind(&path).expect("bound");
        let agent = async {
            for requests in [2, 1] {
                let (mut stream, _) = listener.accept().await.expect("a client");
                for request in 0..requests {
                    assert!(stream.read(&mut [0; 4096]).await.expect("a request") > 0);
                    if request == 0 {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                        stream.write_all(answer).await.expect("sent");
                    }
                }
            }
        };
        let connection = connection(&path);
        let ask = async || {
            let answer = connection.answer(&Request::Get { path: "/".to_owned() }).await;
            assert_eq!(answer.expect("an answer").status, StatusCode::OK);
        };
        tokio::join!(agent, async {
            ask().await;
            ask().await;
        });
    }

    #[tokio::test]
    async fn a_socket_whose_queue_is_full_is_tried_again() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        rustix::net::listen(&listener, 0).expect("a queue of one");
        let _first = std::os::unix::net::UnixStream::connect(&path).expect("queued");
        let (connection, request) = (connection(&path), status());
        let mut asked = Box::pin(connection.answer(&request));
        let asked_once = tokio::time::timeout(2 * PAUSE, &mut asked).await;
        assert!(asked_once.is_err(), "it has no room, and waits: {asked_once:?}");
        listener.set_nonblocking(true).expect("set");
        let listener = tokio::net::UnixListener::from_std(listener).expect("listens");
        let agent = async {
            drop(listener.accept().await.expect("the first"));
            let (mut stream, _) = listener.accept().await.expect("a client");
            assert!(stream.read(&mut [0; 4096]).await.expect("a request") > 0);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(answer).await.expect("sent");
            stream
        };
        let (answered, _stream) = tokio::join!(asked, agent);
        assert_eq!(answered.expect("an answer").status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_socket_that_another_user_could_have_put_there_is_not_used() {
        let place = tempfile::tempdir().expect("a folder");
        let (open, folder) = (place.path().join("open"), place.path().join("open/run"));
        std::fs::create_dir_all(&folder).expect("made");
        for open in [&folder, &open] {
            let mode = |mode| std::fs::set_permissions(open, PermissionsExt::from_mode(mode));
            mode(0o777).expect("set");
            let listener = std::os::unix::net::UnixListener::bind(folder.join("agent.sock"));
            let listener = listener.expect("bound");
            listener.set_nonblocking(true).expect("set");
            let asked = connection(&folder.join("agent.sock")).answer(&status()).await;
            let error = asked.expect_err("refused").to_string();
            assert!(error.contains(&format!("chmod go-w {}", open.display())), "{error}");
            let visit = listener.accept().expect_err("not even connected to");
            assert_eq!(visit.kind(), std::io::ErrorKind::WouldBlock);
            mode(0o755).expect("set");
            std::fs::remove_file(folder.join("agent.sock")).expect("removed");
        }
    }

    #[tokio::test]
    async fn a_folder_that_hangs_stops_no_thread_of_the_caller() {
        let folder = tempfile::tempdir().expect("a folder");
        let calls = FileCalls::far(folder.path(), Environment::default());
        let end = calls.hang().await;
        let mut connection = connection(&folder.path().join("agent.sock"));
        connection.calls = Some(calls);
        let request = status();
        let mut asked = Box::pin(connection.answer(&request));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut asked).await.is_err());
        drop(end);
        let error = asked.await.expect_err("no agent is there");
        assert_eq!(error.code(), "store_unavailable");
    }
}
