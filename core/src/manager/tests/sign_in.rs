//! A sign-in that would be in vain does not begin.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use crate::storage::EphemeralStorage;
use crate::{AuthManager, LoginOptions, LoginProtocol, Result};

/// An authorization server that publishes `metadata` and nothing else; its URL.
fn publish(metadata: impl Fn(&str) -> Value + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let body = metadata(&url).to_string();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // A client that goes away is none of its business.
            drop(answer(connection, &body));
        }
    });
    url
}

fn answer(mut connection: TcpStream, body: &str) -> std::io::Result<()> {
    for line in BufReader::new(connection.try_clone()?).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// Begins a sign-in by the standard protocol at `issuer`; with its authorization URL.
async fn begin(issuer: &str, token_url: &str) -> Result<String> {
    let manager = AuthManager::builder()
        .storage(Arc::new(EphemeralStorage::default()))
        .issuer(issuer)
        .token_url(token_url)
        .build()
        .await
        .expect("a manager");
    let options = LoginOptions {
        protocol: LoginProtocol::Standard,
        ports: vec![0],
        ..LoginOptions::default()
    };
    let login = manager.login_with_browser(options).await?;
    Ok(login.authorization_url().to_string())
}

#[tokio::test]
async fn a_sign_in_whose_tokens_would_be_refreshed_elsewhere_does_not_begin() {
    let issuer = publish(|url| {
        json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
        })
    });
    let elsewhere = format!("{issuer}/oauth/token");
    let error = begin(&issuer, &elsewhere).await.expect_err("the wrong endpoint");
    assert_eq!(error.code(), "invalid_option");
    let text = error.to_string();
    assert!(text.contains(&elsewhere) && text.contains("set token_url"), "{text}");
    let url = begin(&issuer, &format!("{issuer}/token")).await.expect("begun");
    assert!(url.starts_with(&format!("{issuer}/authorize?")), "{url}");
}
