//! Networks as they are: proxies, private authorities, HTTP/2, IPv6. The programs that refresh are
//! contenders, because what they are told is in their environment.
#![cfg(target_os = "linux")]

#[cfg(feature = "bindings")]
mod clients;
#[cfg(feature = "bindings")]
mod command;
mod proxy;
mod server;
mod socks;

use std::fs;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use codex_auth_sdk::AuthManager;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::token_endpoint::{HttpTokenEndpoint, HttpTokenEndpointConfig};
use codex_auth_tests::contender::{Contender, Language};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::log::Log;
use codex_auth_tests::privilege::is_denied;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use self::proxy::{PASSWORD, Proxy, USER, is_proxy_denied};
use self::server::{Greeting, Server};
use self::socks::Socks;

/// Where nobody listens: the port is reserved.
const NOWHERE: &str = "http://127.0.0.1:1";

#[cfg(feature = "bindings")]
const LANGUAGES: &[Language] = &Language::ALL;
#[cfg(not(feature = "bindings"))]
const LANGUAGES: &[Language] = &[Language::Rust];

/// A login on a server with TLS, and a machine that may be told how to get there.
struct Machine {
    realm: Realm,
    server: Server,
    home: TempDir,
    _issuer: Issuer,
}

impl Machine {
    async fn new() -> Self {
        Self::with(&["h2", "http/1.1"]).await
    }

    async fn with(protocols: &[&str]) -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let realm = issuer.realm("");
        let server = Server::start(realm.clone(), protocols).await;
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("ca.pem"), &server.authority).expect("written");
        Self { realm, server, home, _issuer: issuer }
    }

    /// The token URL by which `host` is this machine.
    fn at(&self, host: &str) -> String {
        format!("https://{host}:{}/oauth/token", self.server.port)
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Stores a login.
    fn sign_in(&self, login: &Value) {
        self.realm.run("reset", &json!({}));
        let login = self.realm.call("login", login);
        fs::write(self.path("auth.json"), login["text"].as_str().expect("a record"))
            .expect("written");
    }

    /// The tokens that are stored.
    fn secrets(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("auth.json")).expect("a record");
        let record: Value = serde_json::from_str(&text).expect("JSON");
        let tokens = ["access_token", "refresh_token", "id_token"];
        tokens.map(|name| record["tokens"][name].as_str().expect("a token").to_owned()).into()
    }

    /// What a request comes to that needs a refresh first, by a program with these options and
    /// environment variables.
    fn request(&self, language: Language, options: &Value, variables: &[(&str, &str)]) -> Value {
        let mut contender = self.contender(language, options, variables);
        contender.wait_until_ready();
        contender.go();
        contender.answer()
    }

    /// A program with these options and environment variables, whose access token has expired.
    fn contender(
        &self,
        language: Language,
        options: &Value,
        variables: &[(&str, &str)],
    ) -> Contender {
        self.sign_in(&expired());
        let mut command = language.command();
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command
            .env_remove("CODEX_CA_CERTIFICATE")
            .env_remove("SSL_CERT_FILE")
            .envs(variables.iter().copied());
        let home = self.home.path();
        Contender::start_by(command, language, home, &self.realm, options)
    }

    /// The same for one that must succeed, and trusts the server.
    fn succeed(&self, language: Language, options: &Value, variables: &[(&str, &str)]) {
        let authority = self.path("ca.pem");
        let variables = [&[("CODEX_CA_CERTIFICATE", &*authority)], variables].concat();
        let answer = self.request(language, options, &variables);
        assert_eq!(answer["status"], 200, "{language:?} {options} {variables:?}: {answer}");
    }
}

/// A login whose access token has expired.
fn expired() -> Value {
    json!({"name": "a", "access_age_s": 7200})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_trusted_if_the_environment_names_it() {
    let machine = Machine::new().await;
    let options = json!({"token_url": machine.at("localhost")});
    let stranger = machine.request(Language::Rust, &options, &[]);
    assert_eq!(stranger["error"], "refresh_transient", "{stranger}");
    let message = stranger["message"].as_str().expect("text");
    for part in ["no answer from localhost", "does not trust its certificate", "SSL_CERT_FILE"] {
        assert!(message.contains(part), "{part:?} in {message:?}");
    }
    assert_eq!(machine.realm.stats()["requests"], 0, "no token was sent");

    let authority = machine.path("ca.pem");
    let missing = machine.path("missing.pem");
    for variables in [
        &[("CODEX_CA_CERTIFICATE", &*authority)][..],
        &[("SSL_CERT_FILE", &*authority)],
        &[("CODEX_CA_CERTIFICATE", &*authority), ("SSL_CERT_FILE", &*missing)],
    ] {
        let friend = machine.request(Language::Rust, &options, variables);
        assert_eq!(friend["status"], 200, "{variables:?}: {friend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_authorities_is_named() {
    let machine = Machine::new().await;
    let options = json!({"token_url": machine.at("localhost")});
    let (authority, missing, empty) =
        (machine.path("ca.pem"), machine.path("missing.pem"), machine.path("empty.pem"));
    fs::write(&empty, "nothing in here\n").expect("written");
    for (variables, named) in [
        (&[("SSL_CERT_FILE", &*missing)][..], &missing),
        (&[("SSL_CERT_FILE", &*empty)], &empty),
        (&[("CODEX_CA_CERTIFICATE", &*empty), ("SSL_CERT_FILE", &*authority)], &empty),
    ] {
        let answer = machine.request(Language::Rust, &options, variables);
        let message = answer["message"].as_str().expect("an error");
        assert!(message.contains(named) && message.contains("certificates"), "{answer}");
        assert_eq!(machine.realm.stats()["requests"], 0, "no token was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_where_the_server_speaks_it() {
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let machine = Machine::with(protocols).await;
        machine.succeed(Language::Rust, &json!({"token_url": machine.at("localhost")}), &[]);
        let greetings = machine.server.greetings();
        let versions: Vec<_> = greetings.iter().map(|greeting| &*greeting.version).collect();
        assert_eq!(versions, [version], "{protocols:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_names_itself_as_it_likes_in_every_language() {
    let machine = Machine::new().await;
    let url = machine.at("localhost");
    for &language in LANGUAGES {
        for (options, user_agent) in [
            (json!({"token_url": url}), language.name()),
            (json!({"token_url": url, "user_agent": "program/1 (a test)"}), "program/1 (a test)"),
        ] {
            machine.succeed(language, &options, &[]);
            let (version, user_agent) = ("HTTP/2.0".to_owned(), user_agent.to_owned());
            assert_eq!(machine.server.greetings(), [Greeting { version, user_agent }]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environments_proxy_carries_what_it_is_for() {
    if is_proxy_denied() {
        return;
    }
    let machine = Machine::new().await;
    let elsewhere = json!({"token_url": machine.at("0.0.0.0")});
    let carried = [format!("CONNECT 0.0.0.0:{} HTTP/1.1", machine.server.port)];
    let through = |options: &Value, name: &str, others: &[(&str, &str)]| {
        let proxy = Proxy::start();
        machine.succeed(
            Language::Rust,
            options,
            &[&[(name, &*proxy.url(PASSWORD))], others].concat(),
        );
        proxy.end()
    };
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        assert_eq!(through(&elsewhere, name, &[]), carried, "{name}");
    }
    let nothing: [&str; 0] = [];
    assert_eq!(through(&elsewhere, "HTTPS_PROXY", &[("NO_PROXY", "0.0.0.0")]), nothing);
    let here = [
        json!({"token_url": machine.at("localhost")}),
        json!({}),
        json!({"revoke_url": machine.at("0.0.0.0")}),
    ];
    for options in here {
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
            assert_eq!(through(&options, name, &[]), nothing, "{name} {options}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socks_proxy_carries_what_it_is_for() {
    let machine = Machine::new().await;
    let proxy = Socks::start().await;
    let url = format!("socks5h://{}", proxy.address);
    let elsewhere = machine.at("0.0.0.0");
    machine.succeed(Language::Rust, &json!({"token_url": elsewhere}), &[("ALL_PROXY", &*url)]);
    assert_eq!(proxy.asked(), ["0.0.0.0"]);
    for &language in LANGUAGES {
        machine.succeed(
            language,
            &json!({"token_url": machine.at("localhost"), "proxy": url}),
            &[],
        );
        assert_eq!(proxy.asked(), ["localhost"], "{language:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_cannot_be_used_is_never_passed_over() {
    let machine = Machine::new().await;
    let elsewhere = json!({"token_url": machine.at("0.0.0.0")});
    for &language in LANGUAGES {
        for (name, value) in [
            ("ALL_PROXY", "socks://secret-host:1080"),
            ("HTTPS_PROXY", "ftp://secret-host"),
            ("https_proxy", "secret host"),
        ] {
            let answer = machine.contender(language, &elsewhere, &[(name, value)]).answer();
            assert_eq!(answer["error"], "invalid_option", "{language:?} {answer}");
            let message = answer["message"].as_str().expect("a text");
            assert!(message.starts_with(&format!("${name} is")), "{message}");
            assert!(message.contains("socks5") && !message.contains("secret"), "{message}");
        }
    }
    let exempt = [("ALL_PROXY", "socks://secret-host:1080"), ("NO_PROXY", "0.0.0.0")];
    machine.succeed(Language::Rust, &elsewhere, &exempt);
    let here = json!({"token_url": machine.at("localhost")});
    machine.succeed(Language::Rust, &here, &exempt[..1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_the_way_says_where_and_what_to_do() {
    let machine = Machine::new().await;
    let elsewhere = machine.at("0.0.0.0");
    let unknown = "https://nowhere.invalid/token".to_owned();
    for (url, variables, parts) in [
        (
            &elsewhere,
            &[("HTTPS_PROXY", NOWHERE)][..],
            ["no answer from 0.0.0.0 through the proxy of $HTTPS_PROXY", "check $HTTPS_PROXY"],
        ),
        (
            &elsewhere,
            &[("ALL_PROXY", "socks5://127.0.0.1:1")],
            ["through the proxy of $ALL_PROXY", "check $ALL_PROXY"],
        ),
        (&unknown, &[], [".invalid: ", "check the network and its DNS"]),
    ] {
        let answer = machine.request(Language::Rust, &json!({"token_url": url}), variables);
        assert_eq!(answer["error"], "refresh_transient", "{answer}");
        let message = answer["message"].as_str().expect("a text");
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message:?}");
        }
    }
    let proxied = json!({"token_url": elsewhere, "proxy": NOWHERE});
    let answer = machine.request(Language::Rust, &proxied, &[]);
    assert!(
        answer["message"].as_str().expect("text").ends_with("check the option `proxy`"),
        "{answer}"
    );
    assert_eq!(machine.realm.stats()["requests"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_that_is_asked_for_takes_the_place_of_the_environments_in_every_language() {
    if is_proxy_denied() {
        return;
    }
    let machine = Machine::new().await;
    let variables = [("HTTPS_PROXY", NOWHERE), ("NO_PROXY", "*")];
    for &language in LANGUAGES {
        let proxy = Proxy::start();
        let url = proxy.url(PASSWORD);
        let options = json!({"token_url": machine.at("localhost"), "proxy": url});
        machine.succeed(language, &options, &variables);
        let plain = json!({ "proxy": url });
        machine.succeed(language, &plain, &variables);
        let carried = [format!("CONNECT localhost:{} HTTP/1.1", machine.server.port)];
        assert_eq!(proxy.end(), carried, "{language:?}, and nothing by plain http");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g9_neither_a_proxys_password_nor_a_token_is_shown() {
    if is_proxy_denied() {
        return;
    }
    let log = Log::of_everything();
    let machine = Machine::new().await;
    let proxy = Proxy::start();
    machine.sign_in(&expired());
    let mut secrets = machine.secrets();
    let wrong = "wrong-password";
    secrets.extend([PASSWORD, wrong].map(str::to_owned));
    secrets.extend([PASSWORD, wrong].map(|password| BASE64.encode(format!("{USER}:{password}"))));
    let mut shown = String::new();
    for (password, is_right) in [(wrong, false), (PASSWORD, true)] {
        let url = || machine.at("localhost").parse().expect("a URL");
        let mut config = HttpTokenEndpointConfig::new(url(), url(), "client", "test");
        config.proxy = Some(proxy.url(password).parse().expect("a proxy"));
        config.ca_certificate = Some(machine.path("ca.pem").into());
        let endpoint = Arc::new(HttpTokenEndpoint::new(config, Environment::default()));
        let builder = AuthManager::builder().codex_home(machine.home.path());
        let builder = builder.proxy(proxy.url(password)).token_endpoint(endpoint.clone());
        shown += &format!("{builder:?} {endpoint:?}");
        let manager = builder.build().await.expect("a manager");
        let answer = manager.refresh_token(&manager.auth().expect("signed in")).await;
        assert_eq!(answer.is_ok(), is_right, "{answer:?}");
        let error = answer.err().map(|error| error.to_string());
        shown += &format!("{manager:?} {error:?}");
    }
    assert_eq!(machine.server.greetings()[0].version, "HTTP/2.0");
    assert!(proxy.end().len() > 1, "the proxy was asked twice or more");
    secrets.extend(machine.secrets());
    let shown = shown + &log.text();
    let found: Vec<_> = secrets.iter().filter(|secret| shown.contains(*secret)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_is_loopback_by_ipv6_too() {
    let probe = "grep -q '^0\\{31\\}1 ' /proc/net/if_inet6";
    if is_denied("IPv6", "turn it on", Command::new("sh").args(["-c", probe])) {
        return;
    }
    let machine = Machine::new().await;
    let listener = TcpListener::bind("[::1]:0").await.expect("a port");
    let url = format!("http://{}/oauth/token", listener.local_addr().expect("bound"));
    let issuer = machine.realm.origin().replace("http://", "");
    let relay = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut server = TcpStream::connect(issuer).await.expect("the issuer");
        copy_bidirectional(&mut client, &mut server).await.expect("relayed");
    });
    let variables = [("HTTP_PROXY", NOWHERE), ("ALL_PROXY", NOWHERE)];
    machine.succeed(Language::Rust, &json!({ "token_url": url }), &variables);
    relay.await.expect("it came by IPv6");
}
