//! A WebSocket with the Codex login of this machine, whose handshake recovers from 401.
//!
//! `websocket URL TEXT`: says `TEXT`, and prints the answer.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use codex_auth_examples::install_tls;
use codex_auth_sdk::{AuthManager, UnauthorizedRecoveryDecision};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    install_tls();
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: websocket URL TEXT".into());
    };
    let manager = AuthManager::builder().build().await?;
    let mut socket = connect(&manager, &url).await?;
    socket.send(Message::text(text)).await?;
    let answer = socket.next().await.ok_or("the server has ended it")??;
    println!("{}", answer.to_text()?);
    Ok(socket.close(None).await?)
}

async fn connect(manager: &AuthManager, url: &str) -> Result<Socket, Box<dyn std::error::Error>> {
    let recovery = manager.unauthorized_recovery();
    while let Some(auth) = manager.fresh_auth().await? {
        let mut handshake = url.into_client_request()?;
        handshake.headers_mut().extend(auth.header_map()?.clone());
        match connect_async(handshake).await {
            Ok((socket, _)) => return Ok(socket),
            Err(Error::Http(response)) if response.status() == 401 => {}
            Err(error) => return Err(error.into()),
        }
        match manager.recover_from_unauthorized(&auth, &recovery).await? {
            UnauthorizedRecoveryDecision::Retry => {}
            decision => return Err(format!("please sign in again: {decision:?}").into()),
        }
    }
    Err("please sign in".into())
}
