use std::os::fd::AsFd as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::*;

#[tokio::test]
async fn a_child_that_has_the_socket_does_not_keep_the_port() {
    let listener = Listener::bind(&[0], RedirectHost::Address).await.expect("a port");
    let port = listener.port();
    let inherited = listener.sockets.v4.as_fd().try_clone_to_owned().expect("a copy");
    drop(listener);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
    let again = Listener::bind(&[port], RedirectHost::Address).await.expect("free again");
    assert_eq!(again.port(), port);
    drop(inherited);
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn a_name_of_two_addresses_is_heard_on_both_or_not_at_all() {
    let Ok(other) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else {
        return eprintln!("skipped: this machine has no IPv6");
    };
    let taken = other.local_addr().expect("bound").port();
    let busy = Listener::bind(&[taken], RedirectHost::Localhost).await.expect_err("taken");
    assert_eq!(busy.code(), "login_port_busy");
    let by_address = Listener::bind(&[taken], RedirectHost::Address).await.expect("free");
    assert_eq!(
        RedirectHost::Address.redirect_uri(by_address.port()),
        format!("http://127.0.0.1:{taken}/auth/callback")
    );
    let mut listener = Listener::bind(&[0], RedirectHost::Localhost).await.expect("a port");
    let port = listener.port();
    let arrival = listener.arrival(Secret::new("s"));
    let browser = async {
        let mut browser = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.expect("heard");
        let head = format!("GET {PATH}?state=s&code=c HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n");
        browser.write_all(head.as_bytes()).await.expect("sent");
        browser
    };
    let ((callback, _), _) = tokio::join!(arrival, browser);
    assert!(matches!(callback, Callback::Code(_)));
}

#[tokio::test]
async fn the_oldest_connection_that_says_nothing_gives_way() {
    let mut listener = Listener::bind(&[0], RedirectHost::Address).await.expect("a port");
    let (port, start) = (listener.port(), Instant::now());
    let arrival = listener.arrival(Secret::new("s"));
    let connect =
        || async { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("it listens") };
    let clients = async {
        let mut silent = Vec::new();
        for _ in 0..MOST_CONNECTIONS + 44 {
            silent.push(connect().await);
            tokio::task::yield_now().await;
        }
        let mut browser = connect().await;
        let head = format!("GET {PATH}?state=s&code=c HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n");
        browser.write_all(head.as_bytes()).await.expect("sent");
        (silent, browser)
    };
    let ((callback, _), (mut silent, _browser)) = tokio::join!(arrival, clients);
    assert!(matches!(callback, Callback::Code(_)));
    assert!(start.elapsed() < PATIENCE, "the browser waited until the others had to go");
    assert_eq!(silent[0].read(&mut [0]).await.unwrap_or_default(), 0, "the oldest is ended");
    let young = silent[100].try_read(&mut [0]).expect_err("nothing to read, and no end");
    assert_eq!(young.kind(), io::ErrorKind::WouldBlock);
}
