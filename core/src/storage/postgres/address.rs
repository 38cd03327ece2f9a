//! The URL of a database, and the login that it names.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::tls::Trust;
use crate::error::Result;
use crate::option_value::invalid;
use crate::secret::{Fingerprint, Secret};
use crate::variable;

/// The longest name of a login, in bytes: the index of the table takes no more than 2,700.
const LONGEST_NAME: usize = 1024;

/// How long one host may take to answer, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a connection is at rest before the system asks whether it is still there. What forgets
/// connections on the way, such as a load balancer, does so after minutes.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);

/// How long what was sent may stay without an answer of the network, before the connection ends.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);

/// A database, and the way to it.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) trust: Trust,
    /// The database for error messages, without user and password.
    pub(super) place: String,
    /// What tells one database and its user from others.
    pub(super) fingerprint: Fingerprint,
}

impl Address {
    /// Reads a URL of libpq's form, and the name of a login in it.
    ///
    /// # Errors
    ///
    /// `invalid_option`
    pub(super) fn parse(url: &Secret) -> Result<(Self, Option<String>)> {
        let (base, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
        let (mut login, mut mode, mut authority) = (None, None, None);
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "login" => login = Some(decoded(value)),
                "sslmode" => mode = Some(decoded(value)),
                "sslrootcert" => authority = Some(decoded(value)),
                _ => others.push(pair),
            }
        }
        let rest = Zeroizing::new(format!("{base}?{}", others.join("&")));
        // The library's reason may quote a part of a password.
        let mut config: Config = rest.parse().map_err(|_| {
            let problem = "which has another form than postgres://user:password@host:port/database";
            let fix = "correct it, and write reserved letters of its parts as %40";
            invalid("store", "a URL of PostgreSQL's (not shown)", problem, fix)
        })?;
        let authority = authority.map(PathBuf::from);
        let (ssl, trust) = Trust::named(mode.as_deref(), authority)?;
        // As with libpq: a Unix socket needs no TLS.
        config.ssl_mode(if is_local(&config) { SslMode::Disable } else { ssl });
        if config.get_password().is_none()
            && let Some(password) = variable::verbatim("PGPASSWORD")?
        {
            config.password(password);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if !query.contains("keepalives_idle=") {
            config.keepalives_idle(KEEPALIVES_IDLE);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("codex-auth-sdk");
        }
        let fingerprint = fingerprint(&rest, &config, &trust);
        Ok((Self { place: place(&config), config, trust, fingerprint }, login))
    }
}

/// Returns whether each way to the database is a Unix socket.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts();
    let is_socket = |host: &Host| !matches!(host, Host::Tcp(_));
    !hosts.is_empty() && config.get_hostaddrs().is_empty() && hosts.iter().all(is_socket)
}

/// Returns what two connections have in common that can be one.
fn fingerprint(rest: &str, config: &Config, trust: &Trust) -> Fingerprint {
    let text = Zeroizing::new(format!("{rest}\n{trust:?}\n{:?}\n", config.get_ssl_mode()));
    let password = config.get_password().unwrap_or_default();
    Fingerprint::of(&Zeroizing::new([text.as_bytes(), password].concat()))
}

/// Checks the name of a login: any text that a column of PostgreSQL can have.
///
/// # Errors
///
/// `invalid_option`
pub(super) fn check_login(name: &str) -> Result<()> {
    let shown = || format!("{:?}", name.chars().take(32).collect::<String>());
    let (problem, fix) = if name.is_empty() {
        ("which is empty", "name the login")
    } else if name.contains('\0') {
        ("which contains a NUL, and PostgreSQL stores none", "take it out")
    } else if name.len() > LONGEST_NAME {
        ("which is longer than 1,024 bytes", "name it by a hash of that")
    } else {
        return Ok(());
    };
    Err(invalid("login", shown(), problem, fix))
}

/// Returns the name of the login in the URL, or that of the option.
pub(super) fn login_named(in_url: Option<String>, option: Option<String>) -> Result<String> {
    if let (Some(one), Some(other)) = (&in_url, &option)
        && one != other
    {
        let problem = "and the URL of the store names another one";
        return Err(invalid("login", format_args!("{other:?}"), problem, "name one of them"));
    }
    let login = option.or(in_url).ok_or_else(|| {
        let fix = "add login=NAME to the URL of the store, or set the option login";
        invalid("login", "not set", "and the store has many", fix)
    })?;
    check_login(&login).map(|()| login)
}

fn decoded(value: &str) -> String {
    // As with libpq, a plus sign stands for itself.
    let pair = format!("v={}", value.replace('+', "%2B"));
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, v)| v.into_owned()).unwrap_or_default()
}

fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            #[cfg(unix)]
            Host::Unix(folder) => format!("{}:{port}", folder.display()),
        }
    });
    let hosts: Vec<_> = hosts.collect();
    format!("postgres://{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<(Address, Option<String>)> {
        Address::parse(&Secret::new(url))
    }

    #[test]
    fn the_name_of_a_login_is_any_text() {
        for (name, text) in [
            ("login=alice", "alice"),
            ("application_name=x&login=a%20b%26c&connect_timeout=3", "a b&c"),
            ("login=a+b", "a+b"),
            ("login=%27%3B%20DROP%20TABLE%20x%3B--", "'; DROP TABLE x;--"),
            ("login=%E7%94%B0", "田"),
        ] {
            let (_, login) = parse(&format!("postgres://u:p@host/db?{name}")).expect("a URL");
            assert_eq!(login.as_deref(), Some(text));
            check_login(text).expect("a name");
        }
        assert!(parse("postgres://host/db").expect("a URL").1.is_none());
        for (name, problem) in [("", "empty"), ("a\0b", "NUL"), (&"n".repeat(1025), "1,024")] {
            let error = check_login(name).expect_err("no name");
            assert!(error.to_string().contains(problem), "{error}");
            assert_eq!(error.code(), "invalid_option");
        }
    }

    #[test]
    fn nothing_that_is_shown_has_the_password() {
        let (address, _) = parse("postgres://u:s3cret@h:6543,g/db?login=a").expect("a URL");
        assert_eq!(address.place, "postgres://h:6543,g:5432/db");
        assert!(!format!("{address:?}").contains("s3cret"));
        for url in ["postgres://u:s3cret@h:port/db", "postgres://h/d?s3cret=1"] {
            let error = parse(url).expect_err("no URL").to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn tls_is_what_libpq_means_by_it() {
        let trust = |query: &str| {
            parse(&format!("postgres://h/db?{query}"))
                .map(|(it, _)| (it.config.get_ssl_mode(), it.trust))
        };
        let file = || PathBuf::from("/ca.pem");
        for (query, expected) in [
            ("", (SslMode::Prefer, Trust::Any)),
            ("sslmode=disable", (SslMode::Disable, Trust::Any)),
            ("sslmode=require", (SslMode::Require, Trust::Any)),
            ("sslmode=require&sslrootcert=/ca.pem", (SslMode::Require, Trust::Authority(file()))),
            (
                "sslmode=verify-ca&sslrootcert=%2Fca.pem",
                (SslMode::Require, Trust::Authority(file())),
            ),
            ("sslmode=verify-full", (SslMode::Require, Trust::Host(None))),
            ("sslmode=verify-full&sslrootcert=system", (SslMode::Require, Trust::Host(None))),
            ("sslrootcert=system", (SslMode::Require, Trust::Host(None))),
            (
                "sslmode=verify-full&sslrootcert=/ca.pem",
                (SslMode::Require, Trust::Host(Some(file()))),
            ),
        ] {
            assert_eq!(trust(query).expect("a URL"), expected, "{query}");
        }
        for query in [
            "sslmode=verify",
            "sslmode=verify-ca",
            "sslmode=verify-ca&sslrootcert=system",
            "sslmode=require&sslrootcert=system",
            "sslmode=disable&sslrootcert=system",
        ] {
            assert_eq!(trust(query).expect_err("refused").code(), "invalid_option", "{query}");
        }
        for hosts in ["hostaddr=10.0.0.5", "host=/run/postgresql&hostaddr=10.0.0.5"] {
            let url = format!("postgres:///db?{hosts}&sslmode=verify-full");
            let (address, _) = parse(&url).expect("a URL");
            assert_eq!(address.config.get_ssl_mode(), SslMode::Require, "{hosts}");
        }
        #[cfg(unix)]
        {
            let socket =
                parse("postgres:///db?host=/run/postgresql&sslmode=verify-full").expect("a URL").0;
            assert_eq!(socket.config.get_ssl_mode(), SslMode::Disable);
            assert_eq!(socket.place, "postgres:///run/postgresql:5432/db");
        }
    }

    #[test]
    fn managers_share_a_connection_only_if_it_is_as_safe_as_each_of_them_wants() {
        let fingerprint = |url: &str| parse(url).expect("a URL").0.fingerprint;
        let strict = fingerprint("postgres://u:p@h/db?sslmode=require&login=a");
        assert_eq!(fingerprint("postgres://u:p@h/db?sslmode=require&login=b"), strict);
        for other in ["u:p@h/db?sslmode=disable", "u:p@h/db", "u:q@h/db?sslmode=require"] {
            assert_ne!(fingerprint(&format!("postgres://{other}")), strict, "{other}");
        }
    }
}
