//! The token endpoint over TLS: the test issuer behind a certificate of our own making.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use codex_auth_sdk::{
    AuthManager, Environment, HttpTokenEndpoint, HttpTokenEndpointConfig, TokenEncoding,
};
use codex_auth_tests::issuer::Issuer;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Speaks TLS in front of `issuer`; where it listens and its certificate in PEM.
async fn tls_in_front_of(issuer: SocketAddr) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a key that fits");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // A client that does not trust us leaves here.
            let Ok(mut client) = acceptor.accept(client).await else { continue };
            let mut server = TcpStream::connect(issuer).await.expect("the issuer");
            drop(copy_bidirectional(&mut client, &mut server).await);
        }
    }));
    (port, cert.pem())
}

async fn manager(home: &Path, port: u16, ca_certificate: Option<&Path>) -> AuthManager {
    let url = |path: &str| format!("https://localhost:{port}{path}").parse().expect("a URL");
    let config = HttpTokenEndpointConfig {
        token_url: url("/oauth/token"),
        revoke_url: url("/oauth/revoke"),
        client_id: "client".to_owned(),
        originator: "test".to_owned(),
        encoding: TokenEncoding::Json,
        ca_certificate: ca_certificate.map(Path::to_owned),
    };
    let endpoint = Arc::new(HttpTokenEndpoint::new(config, Environment::default()));
    let builder = AuthManager::builder().codex_home(home).token_endpoint(endpoint);
    builder.build().await.expect("a manager")
}

#[tokio::test]
async fn a_named_authority_is_trusted_and_an_unknown_one_is_not() {
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    let login = realm.call("login", &json!({"name": "a"}));
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("auth.json"), login["text"].as_str().expect("a record"))
        .expect("written");
    let (port, pem) = tls_in_front_of(issuer.address()).await;
    let authority = home.path().join("ca.pem");
    std::fs::write(&authority, pem).expect("written");

    let stranger = manager(home.path(), port, None).await;
    let auth = stranger.auth().expect("signed in");
    let error = stranger.refresh_token(&auth).await.expect_err("not trusted");
    assert_eq!(error.code(), "refresh_transient");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(realm.stats()["requests"], 0, "no token was sent");

    let friend = manager(home.path(), port, Some(&authority)).await;
    friend.refresh_token(&auth).await.expect("refreshed").expect("signed in");
    assert_eq!(realm.stats()["grants"], 1);
}
