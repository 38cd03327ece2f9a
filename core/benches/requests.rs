//! Prints what authorization adds to a request that needs no recovery, side by side with the bare
//! client on loopback. Run with `cargo bench -p codex-auth-sdk --features test-util --bench requests`.

#![allow(clippy::print_stdout, missing_docs, reason = "a program that prints")]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codex_auth_sdk::storage::{AuthDotJson, EphemeralStorage};
use codex_auth_sdk::{AuthClient, AuthManager};
use serde_json::json;
use tokio::runtime::Builder;

const PAIRS: usize = 20_000;

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let origin = serve();
    runtime.block_on(compare(&origin));
}

async fn compare(origin: &str) {
    let manager = manager(origin).await;
    let url = format!("{origin}/v1/responses");
    let mut alone = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        let start = Instant::now();
        let authorization = black_box(&manager).authorize(&url, None).expect("allowed");
        let auth = authorization.auth().await.expect("signed in");
        black_box(auth.header_map().expect("headers"));
        black_box(authorization.retry_auth(&auth, 200).await.expect("final"));
        alone.push(start.elapsed());
    }
    print("the authorization of a request, alone", alone);

    let auth = manager.auth().expect("signed in");
    let builder = AuthClient::http_builder().expect("TLS").no_proxy();
    let client = AuthClient::with_builder(manager, builder).expect("a client");
    // On the same connection: two may be served by processors that are not alike.
    let bare = client.http().clone();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let start = Instant::now();
        // The same bytes on the wire, by hand.
        let request = bare.get(&url).headers(auth.header_map().expect("headers").clone());
        black_box(request.send().await.expect("a reply").bytes().await.expect("a body"));
        without.push(start.elapsed());
        let start = Instant::now();
        let reply = client.send(client.http().get(&url)).await.expect("a reply");
        black_box(reply.bytes().await.expect("a body"));
        with.push(start.elapsed());
    }
    let (without, with) = (
        print("a request with the headers set by hand", without),
        print("the same, authorized", with),
    );
    println!("{:<44} {:>10} ns", "difference", with.saturating_sub(without).as_nanos());
}

/// Prints the median.
fn print(what: &str, mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    let median = samples[samples.len() / 2];
    println!("{what:<44} {:>10} ns (median of {})", median.as_nanos(), samples.len());
    median
}

async fn manager(origin: &str) -> AuthManager {
    let now = chrono::Utc::now();
    let claims =
        json!({"iat": now.timestamp(), "exp": now.timestamp() + 86_400, "pad": "x".repeat(1200)});
    let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let tokens = json!({"id_token": "h.e30.s", "access_token": token, "refresh_token": "rt", "account_id": "acct"});
    let record =
        json!({"auth_mode": "chatgpt", "tokens": tokens, "last_refresh": now.to_rfc3339()});
    let record = AuthDotJson::parse(record.to_string().as_bytes()).expect("a record");
    let builder = AuthManager::builder()
        .storage(Arc::new(EphemeralStorage::new(Some(record))))
        .allowed_origins(vec![origin.to_owned()]);
    builder.build().await.expect("a manager")
}

/// Answers everything with the same, on connections that stay open.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a client");
            connection.set_nodelay(true).expect("an option");
            thread::spawn(move || {
                let mut lines = BufReader::new(connection.try_clone().expect("a socket"));
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line == "\r\n" {
                        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        connection.write_all(reply).expect("a client");
                    }
                    line.clear();
                }
            });
        }
    });
    format!("http://{address}")
}
