use std::io::Write;
use std::sync::{Mutex, mpsc};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tempfile::TempDir;
use tracing::subscriber::DefaultGuard;

use super::*;
use crate::storage::AuthDotJson;

/// What is logged in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// How often this was said.
    fn count(&self, what: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).matches(what).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A login whose access token lives for `life`.
fn login(life: Duration) -> CodexAuth {
    let claims = json!({"iat": 1_000, "exp": 1_000 + life.as_secs()}).to_string();
    let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
    let record = json!({"tokens": {"access_token": token, "refresh_token": "r"}}).to_string();
    let record = AuthDotJson::parse(record.as_bytes()).expect("a record");
    CodexAuth::received(Arc::new(record), &"test".into()).expect("a login")
}

async fn sink() -> (TempDir, Sink) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = folder.path().to_str().expect("a text").parse().expect("options");
    let sink = Sink::open(options).await.expect("opened");
    (folder, sink)
}

#[tokio::test]
async fn a_folder_that_does_not_answer_is_told_of() {
    let (_folder, sink) = sink().await;
    // From here on it goes on as soon as all wait.
    tokio::time::pause();
    let (answer, never) = mpsc::channel::<usize>();
    let call = sink.call(move || Ok(never.recv().unwrap_or_default()));
    let error = timeout(PATIENCE * 2, call).await.expect("it gives up").expect_err("no answer");
    assert_eq!(error.code(), "store_unavailable");
    assert!(error.to_string().contains("it has not answered for 10s"), "{error}");
    drop(answer);
}

#[tokio::test]
async fn what_keeps_a_copy_from_its_place_is_said_once() {
    let (log, _guard) = Log::start();
    let (folder, mut sink) = sink().await;
    let auth = login(Duration::from_secs(3_600));
    std::fs::write(folder.path().join("auth.json"), "").expect("written");
    for _ in 0..2 {
        assert!(sink.renew(auth.clone()).await);
    }
    assert_eq!(log.count("auth.json is empty or cut"), 1);
}

#[tokio::test]
async fn a_copy_that_outlives_its_login_is_told_of_once() {
    let (log, _guard) = Log::start();
    let (folder, mut sink) = sink().await;
    sink.keep_last();
    assert_eq!(log.count("the login is gone"), 0, "there was none");
    assert!(sink.renew(login(Duration::from_secs(3_600))).await);
    for _ in 0..2 {
        sink.keep_last();
    }
    assert_eq!(log.count("the login is gone, and its last copy stays"), 1);
    assert!(folder.path().join("auth.json").exists());
}

#[tokio::test]
async fn tokens_that_a_codex_cli_would_refresh_itself_are_told_of_once() {
    let (log, _guard) = Log::start();
    let (_folder, mut sink) = sink().await;
    for (life, expected) in [(600, 0), (599, 1), (598, 1)] {
        assert!(sink.renew(login(Duration::from_secs(life))).await);
        assert_eq!(log.count("live for less than 10 minutes"), expected, "{life}");
    }
}
