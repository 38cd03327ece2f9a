//! A real browser without a window: Debian's Chromium, by its DevTools protocol.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use url::Url;

use crate::privilege::is_denied;

/// Root has no sandbox, and nothing asks, updates itself or talks to who was not named.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
];

/// No page takes longer.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A browser with one window. It ends when this is dropped.
#[derive(Debug)]
pub struct Chromium {
    process: Child,
    /// Ends with the last process of the browser.
    helpers: Option<JoinHandle<io::Result<u64>>>,
    socket: WebSocketStream<TcpStream>,
    window: Value,
    calls: u64,
    /// The pages that were loaded so far.
    loads: u64,
    _profile: TempDir,
}

impl Chromium {
    /// Starts one that nobody has used before; none where there is no Chromium.
    ///
    /// # Panics
    ///
    /// If it does not start, or is not there although `CI` is `true`.
    pub async fn start() -> Option<Self> {
        if is_denied("Chromium", "install chromium", Command::new("chromium").arg("--version")) {
            return None;
        }
        let profile = tempfile::tempdir().expect("a folder");
        // Who kills this process takes the browser along.
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "chromium"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .envs([("HOME", profile.path()), ("TMPDIR", profile.path())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Chromium");
        let (url, helpers) = devtools(&mut process);
        let address = url.socket_addrs(|| None).expect("a port")[0];
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (socket, _) = client_async(url.as_str(), stream).await.expect("a socket");
        let mut browser = Self {
            process,
            helpers: Some(helpers),
            socket,
            window: Value::Null,
            calls: 0,
            loads: 0,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.window = browser.call("Target.attachToTarget", attach).await["sessionId"].take();
        browser.call("Page.enable", json!({})).await;
        Some(browser)
    }

    /// Goes to `url`. Nothing may be under way: a page that is left before it came never answers.
    pub async fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url})).await;
    }

    /// Waits for the page of which `condition` is true, and does `action` there, both in
    /// JavaScript.
    ///
    /// # Panics
    ///
    /// If there is no such page, or it cannot be done.
    pub async fn on(&mut self, condition: &str, action: &str) {
        let condition = format!("document.readyState === 'complete' && Boolean({condition})");
        let arrival = timeout(WATCHDOG, async {
            loop {
                let before = self.loads;
                if self.evaluate(&condition).await["result"]["value"] == true {
                    return;
                }
                while self.loads == before {
                    self.message().await;
                }
            }
        });
        if arrival.await.is_err() {
            let page = self.evaluate("location.origin + ': ' + document.body?.innerText").await;
            panic!("no page where {condition}; but {page}");
        }
        let done = self.evaluate(action).await;
        assert!(done["exceptionDetails"].is_null(), "{action}: {done}");
    }

    /// Waits for a page that shows `text`.
    pub async fn sees(&mut self, text: &str) {
        self.on(&format!("document.body.innerText.includes({})", json!(text)), "").await;
    }

    /// Null where the page goes away meanwhile.
    async fn evaluate(&mut self, expression: &str) -> Value {
        self.call("Runtime.evaluate", json!({"expression": expression, "userGesture": true})).await
    }

    async fn call(&mut self, method: &str, arguments: Value) -> Value {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": arguments});
        if !self.window.is_null() {
            call["sessionId"] = self.window.clone();
        }
        self.socket.send(Message::text(call.to_string())).await.expect("Chromium listens");
        loop {
            let mut message = self.message().await;
            if message["id"] == self.calls {
                return message["result"].take();
            }
        }
    }

    async fn message(&mut self) -> Value {
        let message = self.socket.next().await.expect("Chromium runs").expect("it speaks");
        let message: Value = serde_json::from_slice(&message.into_data()).unwrap_or_default();
        self.loads += u64::from(message["method"] == "Page.loadEventFired");
        message
    }
}

/// Where it says that it can be driven. What it and its helpers say later is for nobody.
fn devtools(process: &mut Child) -> (Url, JoinHandle<io::Result<u64>>) {
    let mut errors = BufReader::new(process.stderr.take().expect("piped"));
    let url = errors.by_ref().lines().find_map(|line| {
        let line = line.expect("text");
        line.strip_prefix("DevTools listening on ").map(|url| Url::parse(url).expect("a URL"))
    });
    let rest = std::thread::spawn(move || io::copy(&mut errors, &mut io::sink()));
    (url.expect("Chromium says where it listens"), rest)
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
        // Its helpers follow it, and write to the profile until they have.
        drop(self.helpers.take().map(JoinHandle::join));
    }
}
