//! A blocking client of the control API, good in threads, in async tests and in forked children.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// One realm of a running issuer.
#[derive(Clone, Debug)]
pub struct Realm {
    address: SocketAddr,
    prefix: String,
}

impl Realm {
    pub(super) fn new(address: SocketAddr, name: &str) -> Self {
        let prefix = match name {
            "" => String::new(),
            name => format!("/r/{name}"),
        };
        Self { address, prefix }
    }

    /// The realm at `url`, as [`url`](Self::url) gives it.
    ///
    /// # Errors
    ///
    /// If `url` is not that of a realm.
    pub fn at(url: &str) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not the URL of a realm");
        let place = url.strip_prefix("http://").ok_or_else(invalid)?;
        let (address, prefix) = place.find('/').map_or((place, ""), |at| place.split_at(at));
        let address = address.parse().map_err(|_| invalid())?;
        Ok(Self { address, prefix: prefix.to_owned() })
    }

    /// Where the endpoints of this realm are, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.prefix)
    }

    /// The scheme, host and port of the issuer.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a control call and returns its answer.
    ///
    /// # Panics
    ///
    /// If the issuer does not answer, or refuses the call: that is a mistake in the test.
    #[must_use]
    pub fn call(&self, name: &str, arguments: &Value) -> Value {
        let (status, answer) = self.post(&format!("/control/{name}"), arguments);
        assert_eq!(status, 200, "control call {name} {arguments}: {answer}");
        answer
    }

    /// Makes a control call whose answer nobody needs.
    pub fn run(&self, name: &str, arguments: &Value) {
        drop(self.call(name, arguments));
    }

    /// Makes a control call without blocking the caller's runtime.
    pub async fn call_async(&self, name: &str, arguments: Value) -> Value {
        let (realm, name) = (self.clone(), name.to_owned());
        let call = tokio::task::spawn_blocking(move || realm.call(&name, &arguments));
        call.await.expect("the control call succeeds")
    }

    /// Waits until the statistics match, and returns them.
    #[must_use]
    pub fn wait(&self, until: &Value) -> Value {
        self.call("wait", &json!({ "until": until }))
    }

    /// The statistics.
    #[must_use]
    pub fn stats(&self) -> Value {
        self.call("stats", &json!({}))
    }

    /// Posts JSON to any path of this realm: status and body (null if that is no JSON).
    ///
    /// # Panics
    ///
    /// If there is no reply at all.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let reply = self
            .exchange("POST", path, "application/json", "", &body.to_string())
            .expect("the issuer answers");
        (reply.status, serde_json::from_str(&reply.body).unwrap_or_default())
    }

    /// Sends any request and reads the reply to the end of the connection. `headers` are whole
    /// lines, each with its line end.
    ///
    /// # Errors
    ///
    /// If the connection fails, or ends before a whole head of a reply.
    pub fn exchange(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<Reply> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let request = format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: {content_type}\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            self.prefix,
            self.address,
            body.len(),
        );
        stream.write_all(request.as_bytes())?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        Reply::parse(&reply)
    }
}

/// A reply as it came: chunked bodies are not decoded.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Status line and headers as they came.
    pub head: String,
    /// What followed the head.
    pub body: String,
}

impl Reply {
    /// Where a redirect leads.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix("location: "))
    }

    fn parse(reply: &[u8]) -> io::Result<Self> {
        let text = String::from_utf8_lossy(reply);
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Self { status: status.ok_or_else(cut)?, head: head.to_owned(), body: body.to_owned() })
    }
}
