//! Requests to an agent. A connection is kept for the next one.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::address::Place;
use super::message::LARGEST;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;
use crate::storage::plain_file::{self, Links};
use crate::variable;

/// More than an agent lets a client wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most connections at a time: an agent keeps so many of one process.
const MOST: usize = 8;

/// Names the file with the secret that an agent asks of programs whose user it does not know.
const BEARER_FILE: &str = "CODEX_AUTH_AGENT_BEARER_FILE";

type Sender = SendRequest<Full<Bytes>>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The way to an agent.
#[derive(Debug)]
pub(super) struct Connection {
    place: Place,
    bearer: Option<PathBuf>,
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
        let bearer = variable::path(BEARER_FILE);
        Self { place, bearer, environment, pool: PerProcess::new() }
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
        let response = sender.send_request(self.message(request)?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes();
        pool.keep(sender);
        Ok(Response { status, body })
    }

    fn message(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, Failure> {
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
        if let Some(bearer) = self.bearer()? {
            message.headers_mut().insert(AUTHORIZATION, bearer);
        }
        Ok(message)
    }

    /// Returns what the header says that tells the secret, if this program has one.
    fn bearer(&self) -> Result<Option<HeaderValue>, Failure> {
        let Some(path) = &self.bearer else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| -> Failure {
            format!("${BEARER_FILE} is {}, which cannot be used: {error}", path.display()).into()
        };
        let bytes = plain_file::read(path, LARGEST as u64, Links::Followed);
        let bytes = bytes.map_err(|error| failed(&error))?;
        let said = zeroize::Zeroizing::new([b"Bearer ", bytes.trim_ascii()].concat());
        let mut bearer = HeaderValue::from_bytes(&said).map_err(|error| failed(&error))?;
        bearer.set_sensitive(true);
        Ok(Some(bearer))
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        match &self.place {
            Place::Socket(path) => start(open_socket(path).await?).await,
            Place::Http(authority) => start(open_address(authority).await?).await,
        }
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

/// Connects to the socket at `path`, in a folder that no other user may write to: he could have put
/// his own agent there.
#[cfg(unix)]
async fn open_socket(path: &std::path::Path) -> Result<tokio::net::UnixStream, Failure> {
    use std::os::unix::fs::MetadataExt;
    let folder = path.parent().unwrap_or(path);
    if folder.metadata()?.mode() & 0o022 != 0 {
        return Err(format!("other users may write to {}", folder.display()).into());
    }
    Ok(tokio::net::UnixStream::connect(path).await?)
}

#[cfg(not(unix))]
async fn open_socket(_: &std::path::Path) -> Result<TcpStream, Failure> {
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
}

/// Connects to an address of this machine, or of the one that it is a container of: the bearer and the
/// tokens are not encrypted.
async fn open_address(authority: &str) -> Result<TcpStream, Failure> {
    let addresses = tokio::net::lookup_host(authority).await?;
    let near: Vec<_> = addresses.filter(|address| is_near(address.ip())).collect();
    if near.is_empty() {
        return Err(format!("{authority} is neither this machine nor its host").into());
    }
    let stream = TcpStream::connect(&*near).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent may end right when a request comes to a connection that was kept.
    #[cfg(unix)]
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
        let connection = Connection::new(Place::Socket(path), Environment::default());
        let ask = async || {
            let answer = connection.answer(&Request::Get { path: "/".to_owned() }).await;
            assert_eq!(answer.expect("an answer").status, StatusCode::OK);
        };
        tokio::join!(agent, async {
            ask().await;
            ask().await;
        });
    }

    #[test]
    fn only_this_machine_and_its_networks_are_near() {
        for near in
            ["127.0.0.1", "::1", "::ffff:127.0.0.1", "172.17.0.1", "192.168.65.254", "fd00::1"]
        {
            assert!(is_near(near.parse().expect("an address")), "{near}");
        }
        for far in ["8.8.8.8", "172.32.0.1", "2001:4860::1", "0.0.0.0", "::"] {
            assert!(!is_near(far.parse().expect("an address")), "{far}");
        }
    }
}
