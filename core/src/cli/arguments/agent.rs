//! The arguments of `agent`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::duration;
use crate::agent::SinkOptions;
use crate::error::Error;
use crate::option_value::invalid;

/// How long before the end of a token the Codex CLI refreshes it.
const WINDOW_OF_CODEX: Duration = Duration::from_secs(5 * 60);

pub(super) const EXAMPLES: &str = "\
Examples:
  codex-auth-sdk agent
      Keeps the login fresh, and serves this user's programs on a socket.
  docker run --user \"$(id -u)\" \\
      --volume \"$XDG_RUNTIME_DIR/codex-auth-sdk:/run/codex-auth-sdk:ro\" \\
      --env CODEX_AUTH_AGENT=unix:/run/codex-auth-sdk/agent.sock ...
      A container that gets access tokens, and nothing that lasts.
  codex-auth-sdk agent --listen 127.0.0.1:8130 --bearer-file ~/.codex-agent-bearer
      Also for programs that cannot use a socket. The file is made if it is not there.
  codex-auth-sdk agent --config ~/.config/codex-auth-agent.toml
      Several logins, each under its name, which a client asks for by agent:#NAME. The file is like
        [[login]]
        name = \"work\"
        codex_home = \"/home/me/work/.codex\"
        sinks = [\"/srv/ci/codex,uid=1000\"]
      with store, login, account_id and refresh_window as the options of these names. The first login is
      that of clients that name none. SIGHUP has the sinks read again.";

#[derive(Debug, Args)]
pub(crate) struct Agent {
    /// The Unix socket to listen on [default: codex-auth-sdk/agent.sock in $XDG_RUNTIME_DIR, else
    /// ~/.codex-auth-sdk/agent.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// A user that may use the socket too, by its number; may be given more than once
    #[arg(long, value_name = "UID")]
    pub(crate) allow_uid: Vec<u32>,
    /// An address of loopback to listen on too, for programs that know the bearer
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = loopback, requires = "bearer_file")]
    pub(crate) listen: Option<SocketAddr>,
    /// The name by which a container reaches that address; may be given more than once
    ///
    /// It is for Docker Desktop (host.docker.internal). On Linux a container does not reach the
    /// loopback of its host, unless it runs in the host's network: mount the folder of the socket there.
    #[arg(long, value_name = "HOST", requires = "listen")]
    pub(crate) allow_host: Vec<String>,
    /// The file with the bearer of programs whose user is not known. It is made if it is not there
    #[arg(long, value_name = "FILE")]
    pub(crate) bearer_file: Option<PathBuf>,
    /// A folder that gets an auth.json with the access token only, for a Codex CLI that knows of no
    /// agent; may be given more than once
    ///
    /// The copy belongs to the folder's owner, or to the user and the group that are named.
    #[arg(long, value_name = "DIR[,uid=N][,gid=N][,mode=0600]")]
    pub(crate) sink: Vec<SinkOptions>,
    /// A TOML file with several logins and their sinks. What it does not say of a login is what the
    /// options say
    #[arg(long, value_name = "FILE", conflicts_with = "sink")]
    pub(crate) config: Option<PathBuf>,
    /// How long before its end a token is refreshed, say 10m; with a sink, more than the 5m of the Codex
    /// CLI [default: 10m, or half its life]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) refresh_window: Option<Duration>,
}

/// Fails if a Codex CLI that reads a sink would try to refresh before the agent does.
///
/// # Errors
///
/// `invalid_option`
pub(crate) fn check_window(window: Option<Duration>, sinks: &[SinkOptions]) -> Result<(), Error> {
    let narrow = window.filter(|window| *window <= WINDOW_OF_CODEX && !sinks.is_empty());
    narrow.map_or(Ok(()), |window| {
        let problem = "and a Codex CLI that reads a sink refreshes 300 s before the end";
        let value = format_args!("{} s", window.as_secs());
        Err(invalid("the refresh window", value, problem, "name more than 5m"))
    })
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| "write an address of loopback and a port: 127.0.0.1:8130".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_wider_than_that_of_codex_clis_that_read_a_sink() {
        let sinks = ["/a".parse().expect("a sink")];
        let check = |window: Option<&str>, sinks: &[_]| {
            let window = window.map(|window| duration(window).expect("a duration"));
            check_window(window, sinks).map_err(|error| error.code())
        };
        assert_eq!(check(None, &sinks), Ok(()));
        assert_eq!(check(Some("4m"), &[]), Ok(()));
        assert_eq!(check(Some("301"), &sinks), Ok(()));
        assert_eq!(check(Some("5m"), &sinks), Err("invalid_option"));
    }
}
