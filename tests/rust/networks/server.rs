//! The issuer by TLS, with a certificate of a private authority.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use codex_auth_tests::issuer::Realm;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, LOCATION, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The names of this machine that the certificate is for. It does not know the last one as such.
const NAMES: [&str; 2] = ["localhost", "0.0.0.0"];

/// The headers of a credential that are passed on.
const CREDENTIAL: [&str; 2] = ["authorization", "chatgpt-account-id"];

/// What a client said of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) version: String,
    pub(crate) user_agent: String,
}

/// A server that passes on to a realm of the issuer, and has its redirects lead back here.
#[derive(Clone)]
pub(crate) struct Server {
    realm: Realm,
    greetings: Arc<Mutex<Vec<Greeting>>>,
    pub(crate) port: u16,
    /// The certificate of its authority, in PEM.
    pub(crate) authority: String,
}

impl Server {
    /// One that offers `protocols`.
    pub(crate) async fn start(realm: Realm, protocols: &[&str]) -> Self {
        let (mut config, authority) = certified();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let server = Self { realm, greetings: Arc::default(), port, authority };
        let serving = server.clone();
        drop(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                drop(tokio::spawn(serving.clone().serve(acceptor.clone(), client)));
            }
        }));
        server
    }

    /// The requests since this was last asked.
    pub(crate) fn greetings(&self) -> Vec<Greeting> {
        std::mem::take(&mut *self.greetings.lock().expect("not poisoned"))
    }

    async fn serve(self, acceptor: TlsAcceptor, client: TcpStream) {
        // A client that does not trust us leaves here.
        let Ok(client) = acceptor.accept(client).await else { return };
        let is_http2 = client.get_ref().1.alpn_protocol() == Some(b"h2");
        let service = service_fn(|request| self.clone().relay(request));
        let client = TokioIo::new(client);
        // Either fails if the client leaves first.
        if is_http2 {
            drop(http2::Builder::new(TokioExecutor::new()).serve_connection(client, service).await);
        } else {
            drop(http1::Builder::new().serve_connection(client, service).await);
        }
    }

    async fn relay(self, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        let (head, body) = request.into_parts();
        let text = |name: HeaderName| {
            let value = head.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let greeting =
            Greeting { version: format!("{:?}", head.version), user_agent: text(USER_AGENT) };
        self.greetings.lock().expect("not poisoned").push(greeting);
        let content_type = text(CONTENT_TYPE);
        let brought = CREDENTIAL.map(|name| (name, text(HeaderName::from_static(name))));
        let brought = brought.iter().filter(|(_, value)| !value.is_empty());
        let brought: String = brought.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("text");
        let realm = self.realm.clone();
        let exchange = move || {
            let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
            let exchange =
                realm.exchange(head.method.as_str(), path, &content_type, &brought, &body);
            exchange.expect("a reply")
        };
        let reply = tokio::task::spawn_blocking(exchange).await.expect("a reply");
        let mut response = Response::builder().status(reply.status);
        if let Some(location) = reply.location() {
            let own = format!("https://localhost:{}", self.port);
            response = response.header(LOCATION, location.replace(&self.realm.url(), &own));
        }
        Ok(response.body(reply.body).expect("a response"))
    }
}

/// A server's certificate by an authority of its own, and that authority's in PEM.
fn certified() -> (ServerConfig, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Without a name of its own, OpenSSL takes the server's certificate for a self-signed one.
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let names = CertificateParams::new(NAMES.map(str::to_owned)).expect("names");
    let certificate = names.signed_by(&key, &issuer).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a key that fits");
    (config, authority.pem())
}
