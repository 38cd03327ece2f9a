//! A reply that arrives while the program is stopped, until its time is over. Here it is the one
//! thread that would listen which stands still.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::token_endpoint::{
    HttpTokenEndpoint, HttpTokenEndpointConfig, Redemption, StoredToken, TokenEndpoint,
};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

const TIMEOUT: Duration = Duration::from_millis(300);
const WATCHDOG: Duration = Duration::from_secs(30);

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                    content-length: 49\r\n\r\n";
const BODY: [&str; 2] = [r#"{"access_token": "a1", "#, r#""refresh_token": "secret"}"#];

/// What a redemption comes to whose reply is `first` and, after a while in which nobody listens,
/// `rest`. The connection stays open.
async fn redeem(first: String, rest: String) -> Redemption {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = endpoint(listener.local_addr().expect("bound").port());
    let (first_sent, first_was_sent) = oneshot::channel();
    let (stand_still, stands_still) = mpsc::channel();
    let (rest_sent, rest_was_sent) = mpsc::channel();
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        read_request(&mut client);
        client.write_all(first.as_bytes()).expect("sent");
        first_sent.send(()).expect("a listener");
        stands_still.recv().expect("it stands still");
        client.write_all(rest.as_bytes()).expect("sent");
        rest_sent.send(()).expect("a listener");
        client
    });
    let start = Instant::now();
    let standing_still = async {
        first_was_sent.await.expect("sent");
        // Meanwhile the first part is read.
        sleep(TIMEOUT / 3).await;
        stand_still.send(()).expect("the server listens");
        rest_was_sent.recv().expect("sent");
        while start.elapsed() <= TIMEOUT {
            thread::yield_now();
        }
    };
    let token = Secret::new("secret".to_owned());
    let redeeming = timeout(WATCHDOG, endpoint.redeem(StoredToken::new(&token, None), TIMEOUT));
    let (redemption, ()) = tokio::join!(redeeming, standing_still);
    drop(server.join().expect("no panic"));
    redemption.expect("it ends").redemption
}

fn endpoint(port: u16) -> HttpTokenEndpoint {
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}").parse().expect("a URL");
    let config =
        HttpTokenEndpointConfig::new(url("/oauth/token"), url("/oauth/revoke"), "client", "test");
    HttpTokenEndpoint::new(config, Environment::default())
}

fn read_request(client: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut bytes = [0; 1024];
        let read = client.read(&mut bytes).expect("a request");
        request.extend_from_slice(&bytes[..read]);
    }
}

#[tokio::test]
async fn g4_a_reply_that_came_while_nobody_listened_is_heard() {
    let [half, rest] = BODY;
    for (first, rest) in [
        (String::new(), format!("{HEAD}{half}{rest}")),
        (HEAD.to_owned(), format!("{half}{rest}")),
        (format!("{HEAD}{half}"), rest.to_owned()),
    ] {
        let redemption = redeem(first, rest).await;
        let Redemption::Granted(grant) = redemption else { panic!("{redemption:?}") };
        assert!(grant.refresh_token.is_some());
    }
}

#[tokio::test]
async fn g11_a_reply_that_does_not_come_is_given_up() {
    let half = format!("{HEAD}{}", BODY[0]);
    for first in ["", HEAD, &half] {
        let redemption = redeem(first.to_owned(), String::new()).await;
        assert!(matches!(redemption, Redemption::InDoubt(_)), "{redemption:?}");
    }
    let unavailable = HEAD.replace("200 OK", "503 Unavailable");
    let redemption = redeem(unavailable, String::new()).await;
    assert!(matches!(redemption, Redemption::NotSpent(_)), "{redemption:?}");
}
