//! Where an agent is.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::option_value::invalid;
use crate::variable;

/// The option of which an address is a value.
const OPTION: &str = "store";

/// Names the place of the agent, for clients that are told none.
const PLACE: &str = "CODEX_AUTH_AGENT";

const FIX: &str = "write agent:unix:/path or agent:http://127.0.0.1:PORT, and #NAME for one of \
                   several logins";

/// The folder of the socket, below `$XDG_RUNTIME_DIR`.
const FOLDER: &str = "codex-auth-sdk";

/// The name of the socket.
const SOCKET: &str = "agent.sock";

/// The agent that keeps a login, and the name of the login there: the part of `agent:PLACE#NAME`
/// after the first colon. The default is the agent of this user, and the login that it names first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentAddress {
    place: Option<Place>,
    login: Option<String>,
}

/// Where an agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a Unix socket.
    Socket(PathBuf),
    /// On loopback, or where a container reaches the loopback of its host, by the name of a host and a
    /// port.
    Http(String),
}

impl AgentAddress {
    /// Returns the named place; without one that of `$CODEX_AUTH_AGENT`, else the default.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the variable makes no sense.
    pub(crate) fn place(&self) -> Result<Place> {
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        match variable::text(PLACE)? {
            Some(text) => Place::parse(&text).map_err(|problem| {
                let fix = "write unix:/path or http://127.0.0.1:PORT";
                invalid(&format!("${PLACE}"), format_args!("{text:?}"), problem, fix)
            }),
            None => Ok(Place::Socket(default_socket()?)),
        }
    }

    /// Returns the name of the login; none for the first one of the agent.
    pub(crate) fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }
}

impl FromStr for AgentAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (place, login) = match text.split_once('#') {
            Some((place, login)) => (place, Some(login)),
            None => (text, None),
        };
        let refuse =
            |problem| invalid(OPTION, format_args!("{:?}", format!("agent:{text}")), problem, FIX);
        if login.is_some_and(|login| !is_login_name(login)) {
            return Err(refuse(
                "whose login has a name of other characters than a-z, 0-9, - and _",
            ));
        }
        let place = (!place.is_empty()).then(|| Place::parse(place).map_err(refuse)).transpose()?;
        Ok(Self { place, login: login.map(str::to_owned) })
    }
}

impl Place {
    /// Returns the path of the socket, if it is one.
    #[cfg(unix)]
    pub(super) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Socket(path) => Some(path),
            Self::Http(_) => None,
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            let is_absolute = path.is_absolute().then_some(path);
            return is_absolute.map(Self::Socket).ok_or("whose path is not absolute");
        }
        let authority = text.strip_prefix("http://").ok_or("which is neither unix: nor http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let is_plain = !authority.contains(['/', '@', '?', ' ']) && port.is_some();
        is_plain.then(|| Self::Http(authority.to_owned())).ok_or("which is not a host and a port")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Http(authority) => write!(f, "http://{authority}"),
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Http(address.to_string())
    }
}

/// Returns whether a login of an agent may have this name.
pub(crate) fn is_login_name(name: &str) -> bool {
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    !name.is_empty() && name.bytes().all(|letter| is_plain(letter) || b"-_".contains(&letter))
}

/// Returns the path of the socket of this user's agent.
///
/// # Errors
///
/// `invalid_option` if the user's folder is not known.
pub(crate) fn default_socket() -> Result<PathBuf> {
    let runtime = variable::path("XDG_RUNTIME_DIR").filter(|folder| folder.is_absolute());
    if let Some(folder) = runtime {
        return Ok(folder.join(FOLDER).join(SOCKET));
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    let below = |home: PathBuf| home.join(Path::new(".codex-auth-sdk")).join(SOCKET);
    home.map(below).ok_or_else(|| {
        let problem = "and the user's home folder is not known";
        invalid("the agent's socket", "not named", problem, "name it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A path like these is not absolute on Windows.
    #[cfg(unix)]
    #[test]
    fn an_address_names_a_place_and_a_login() {
        let address = |text: &str| text.parse::<AgentAddress>().expect(text);
        assert_eq!(address(""), AgentAddress::default());
        let socket = || Some(Place::Socket("/run/a b.sock".into()));
        assert_eq!(address("unix:/run/a b.sock").place, socket());
        let found = address("unix:/run/a b.sock#work-2");
        assert_eq!((found.place.clone(), found.login()), (socket(), Some("work-2")));
        assert_eq!(address("#work").login(), Some("work"));
        for text in ["http://127.0.0.1:80", "http://host.docker.internal:8080/", "http://[::1]:1"] {
            let place = address(text).place.expect("a place").to_string();
            assert_eq!(place, text.trim_end_matches('/'));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "unix:",
            "unix:run/a.sock",
            "/run/a.sock",
            "https://127.0.0.1:1",
            "http://127.0.0.1",
            "http://user@127.0.0.1:1",
            "http://127.0.0.1:1/path",
            "#",
            "#Work",
            "#../x",
        ] {
            let error = text.parse::<AgentAddress>().expect_err(text);
            assert_eq!(error.code(), "invalid_option");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
