//! Lets programs in, or says why not.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};

use super::bearer::Bearer;
use crate::error::Result;
use crate::option_value::invalid;

/// The user that the system names for one of another user namespace, unless it is told another.
const OVERFLOW: u32 = 65534;

/// Who may use one of the agent's places.
#[derive(Debug)]
pub(super) struct Gate {
    visitors: Visitors,
    bearer: Option<Arc<Bearer>>,
}

/// What a place lets in without more.
#[derive(Debug)]
pub(super) enum Visitors {
    /// These users, at a socket. The overflow user is never among them.
    Users { allowed: BTreeSet<u32>, overflow: u32 },
    /// No program, at an address; what reaches it must name it by one of these names.
    Hosts(Vec<String>),
}

/// Why a program may not use the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It runs as another user.
    User(u32),
    /// It runs in another user namespace.
    Stranger(u32),
    /// It does not know the secret.
    Bearer,
    /// A page in a browser made the request.
    Page,
    /// The request is for another host: a name was resolved to this machine that is not its own.
    Host,
}

impl Gate {
    pub(super) const fn new(visitors: Visitors, bearer: Option<Arc<Bearer>>) -> Self {
        Self { visitors, bearer }
    }

    /// Lets a program of the user `user`, if the system tells, in with a request that has these
    /// `headers`.
    pub(super) fn admit(&self, user: Option<u32>, headers: &HeaderMap) -> Result<(), Refused> {
        if headers.contains_key(ORIGIN) {
            return Err(Refused::Page);
        }
        let is_known =
            || self.bearer.as_ref().is_some_and(|bearer| bearer.is_in(headers.get(AUTHORIZATION)));
        match &self.visitors {
            Visitors::Users { allowed, overflow } => match user {
                _ if is_known() => Ok(()),
                Some(user) if user == *overflow => Err(Refused::Stranger(user)),
                Some(user) if allowed.contains(&user) => Ok(()),
                Some(user) => Err(Refused::User(user)),
                None => Err(Refused::Bearer),
            },
            Visitors::Hosts(names) => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                let is_ours = |host: &str| names.iter().any(|it| it.eq_ignore_ascii_case(host));
                if !host.is_some_and(is_ours) {
                    return Err(Refused::Host);
                }
                is_known().then_some(()).ok_or(Refused::Bearer)
            }
        }
    }
}

impl Visitors {
    /// This user and `others`.
    ///
    /// # Errors
    ///
    /// `invalid_option` if one of them is the overflow user: that would be each user of each other
    /// namespace.
    pub(super) fn users(others: Vec<u32>) -> Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
        let overflow = text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(OVERFLOW);
        Self::users_of(rustix::process::geteuid().as_raw(), others, overflow)
    }

    /// The user `own`, which is this one, and `others`.
    fn users_of(own: u32, others: Vec<u32>, overflow: u32) -> Result<Self> {
        if others.contains(&overflow) {
            let problem = "which stands for all users of other user namespaces";
            let fix = "give those programs a bearer instead";
            return Err(invalid("an allowed user", overflow, problem, fix));
        }
        if own == overflow {
            tracing::warn!(
                "the agent runs as the user {own}, which stands for all users of other user \
                 namespaces: its socket answers no program without a bearer; start it as another \
                 user, or with --bearer-file"
            );
        }
        Ok(Self::Users { allowed: others.into_iter().chain([own]).collect(), overflow })
    }

    /// All that name `address` by a name of loopback, or by one of `more`.
    pub(super) fn hosts(address: SocketAddr, more: Vec<String>) -> Self {
        let port = address.port();
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let names = own.into_iter().chain([host_of(address)]).chain(more);
        Self::Hosts(names.map(|name| format!("{name}:{port}")).collect())
    }
}

fn host_of(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

impl Refused {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Bearer => StatusCode::UNAUTHORIZED,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::User(_) | Self::Stranger(_) | Self::Page => StatusCode::FORBIDDEN,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BEARER: &str = "start the agent with --bearer-file, give this program the file, and \
                              name it in CODEX_AUTH_AGENT_BEARER_FILE";
        match self {
            Self::User(0) => write!(
                f,
                "this program runs as root, as a container does that is started without --user: \
                 {BEARER}; or run it as the user of the agent"
            ),
            Self::User(user) => write!(
                f,
                "this program runs as the user {user}, which may not use the agent: start the agent \
                 with --allow-uid {user}; or {BEARER}"
            ),
            Self::Stranger(user) => write!(
                f,
                "this program runs in another user namespace, so that the system tells the agent \
                 {user} in place of its user, whoever that is: {BEARER}"
            ),
            Self::Bearer => write!(f, "the request has no bearer, or a wrong one: {BEARER}"),
            Self::Page => f.write_str("the agent answers no page of a browser"),
            Self::Host => f.write_str(
                "the request names another host: reach the agent by 127.0.0.1, or start it with \
                 --allow-host and the name",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::super::heard::warnings_of;
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    fn bearer() -> Option<Arc<Bearer>> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bearer");
        std::fs::write(&path, "0123456789abcdef").expect("written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).expect("set");
        Some(Arc::new(Bearer::open(&path).expect("a secret")))
    }

    const KNOWN: (HeaderName, &str) = (AUTHORIZATION, "Bearer 0123456789abcdef");

    #[test]
    fn a_socket_is_for_named_users_and_for_those_that_know_the_secret() {
        let visitors =
            || Visitors::Users { allowed: BTreeSet::from([7, 9, 65534]), overflow: 65534 };
        let (open, closed) = (Gate::new(visitors(), bearer()), Gate::new(visitors(), None));
        let none = headers(&[]);
        for gate in [&open, &closed] {
            assert_eq!(gate.admit(Some(7), &none), Ok(()));
            assert_eq!(gate.admit(Some(8), &none), Err(Refused::User(8)));
            assert_eq!(gate.admit(Some(65534), &none), Err(Refused::Stranger(65534)));
            assert_eq!(gate.admit(None, &none), Err(Refused::Bearer));
        }
        let known = headers(&[KNOWN]);
        for user in [None, Some(8), Some(65534)] {
            assert_eq!(open.admit(user, &known), Ok(()));
            assert!(closed.admit(user, &known).is_err());
        }
        let wrong = headers(&[(AUTHORIZATION, "Bearer 0123456789abcdeX")]);
        assert_eq!(open.admit(Some(8), &wrong), Err(Refused::User(8)));
    }

    #[test]
    fn an_address_is_for_programs_that_name_it_and_know_the_secret_and_for_no_page() {
        let address = "127.0.0.1:80".parse().expect("an address");
        let gate =
            Gate::new(Visitors::hosts(address, vec!["host.docker.internal".into()]), bearer());
        let admit = |pairs: &[_]| gate.admit(None, &headers(pairs));
        for host in ["127.0.0.1:80", "LOCALHOST:80", "[::1]:80", "host.docker.internal:80"] {
            assert_eq!(admit(&[(HOST, host), KNOWN]), Ok(()), "{host}");
            assert_eq!(admit(&[(HOST, host)]), Err(Refused::Bearer), "{host}");
            let page = [(HOST, host), KNOWN, (ORIGIN, "null")];
            assert_eq!(admit(&page), Err(Refused::Page), "{host}");
        }
        for host in ["evil.test:80", "127.0.0.1", "127.0.0.1:81", "localhost.evil.test:80", ""] {
            assert_eq!(admit(&[(HOST, host), KNOWN]), Err(Refused::Host), "{host}");
        }
        assert_eq!(admit(&[KNOWN]), Err(Refused::Host));
    }

    #[test]
    fn a_container_that_runs_as_root_is_told_of_the_bearer_and_no_other_user_of_the_agent() {
        let said = Refused::User(0).to_string();
        assert!(said.contains("--bearer-file") && !said.contains("--allow-uid"), "{said}");
        let said = Refused::User(7).to_string();
        assert!(said.contains("--allow-uid 7"), "{said}");
    }

    #[test]
    fn an_agent_that_answers_not_even_its_own_user_says_so() {
        let start =
            |own| warnings_of(|| drop(Visitors::users_of(own, vec![7], OVERFLOW).expect("users")));
        let warnings = start(OVERFLOW);
        assert!(matches!(&*warnings, [one] if one.contains("--bearer-file")), "{warnings:?}");
        assert!(start(8).is_empty());
    }

    #[test]
    fn the_overflow_user_is_never_named() {
        let error = Visitors::users(vec![OVERFLOW]).expect_err("refused");
        assert_eq!(error.code(), "invalid_option");
        let Visitors::Users { allowed, .. } = Visitors::users(vec![7]).expect("users") else {
            panic!("users")
        };
        assert_eq!(allowed, BTreeSet::from([7, rustix::process::geteuid().as_raw()]));
    }
}
