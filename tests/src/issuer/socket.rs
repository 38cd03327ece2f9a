//! A WebSocket (RFC 6455) behind the protected API's check: it sends back what it is told.

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::api;
use super::realm::Realm;
use super::reply::{self, Reply, with_header};
use super::request::Request;

/// Answers a handshake: 401 as to any request, else the connection becomes a WebSocket.
pub(super) fn socket(realm: &Realm, request: &Request) -> Reply {
    let checked = api::api(realm, request);
    if checked.status() != 200 {
        return checked;
    }
    let Some(key) = request.header(SEC_WEBSOCKET_KEY.as_str()) else {
        return reply::text(400, "text/plain", "no handshake of a WebSocket");
    };
    tokio::spawn(echo(request.upgrade.clone()));
    let accept = derive_accept_key(key.as_bytes());
    let switch = with_header(reply::text(101, "text/plain", ""), SEC_WEBSOCKET_ACCEPT, &accept);
    with_header(with_header(switch, CONNECTION, "upgrade"), UPGRADE, "websocket")
}

async fn echo(upgrade: OnUpgrade) {
    let Ok(connection) = upgrade.await else { return };
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        // Pings and the end are answered by the library.
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}
