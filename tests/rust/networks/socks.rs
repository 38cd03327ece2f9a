//! A SOCKS5 proxy (RFC 1928) that asks for no password.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// The kinds of address that are understood.
const IPV4: u8 = 1;
const NAME: u8 = 3;

/// A proxy that connects to this machine, whichever host it is asked for.
pub(crate) struct Socks {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let hosts = Arc::clone(&asked);
        drop(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A client may leave at any time.
                drop(tokio::spawn(serve(client, Arc::clone(&hosts))));
            }
        }));
        Self { address, asked }
    }

    /// The hosts that it was asked for since this was last called.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("not poisoned"))
    }
}

async fn serve(mut client: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let methods = bytes(&mut client, 2).await?[1];
    bytes(&mut client, methods).await?;
    client.write_all(&[5, 0]).await?;
    let host = match bytes(&mut client, 4).await?[3] {
        IPV4 => {
            let address = bytes(&mut client, 4).await?;
            address.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
        }
        NAME => {
            let length = bytes(&mut client, 1).await?[0];
            String::from_utf8_lossy(&bytes(&mut client, length).await?).into_owned()
        }
        kind => return Err(io::Error::other(format!("an address of the kind {kind}"))),
    };
    let port = bytes(&mut client, 2).await?;
    asked.lock().expect("not poisoned").push(host);
    let port = u16::from_be_bytes([port[0], port[1]]);
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.write_all(&[5, 0, 0, IPV4, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn bytes(client: &mut TcpStream, count: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}
