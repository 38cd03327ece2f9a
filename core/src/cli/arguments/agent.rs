//! The arguments of `agent`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::duration;
use crate::agent::SinkOptions;
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
      Also for programs that cannot use a socket. The file is made if it is not there.";

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
    /// How long before its end a token is refreshed, say 10m; with a sink, more than the 5m of the Codex
    /// CLI [default: 10m, or half its life]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) refresh_window: Option<Duration>,
}

impl Agent {
    /// Returns how long before its end a token is refreshed, if that is named.
    ///
    /// # Errors
    ///
    /// `invalid_option` if a Codex CLI that reads a sink would try to refresh before the agent.
    pub(crate) fn window(&self) -> crate::error::Result<Option<Duration>> {
        let narrow = self.refresh_window.filter(|window| *window <= WINDOW_OF_CODEX);
        match narrow.filter(|_| !self.sink.is_empty()) {
            Some(window) => {
                let problem = "and a Codex CLI that reads a sink refreshes 300 s before the end";
                let value = format_args!("{} s", window.as_secs());
                Err(invalid("--refresh-window", value, problem, "name more than 5m"))
            }
            None => Ok(self.refresh_window),
        }
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| "write an address of loopback and a port: 127.0.0.1:8130".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn a_window_is_wider_than_that_of_codex_clis_that_read_a_sink() {
        let window = |arguments: &str| {
            let command = Agent::augment_args(clap::Command::new("agent").no_binary_name(true));
            let matches = command.try_get_matches_from(arguments.split(' ')).expect("arguments");
            let agent = Agent::from_arg_matches(&matches).expect("arguments");
            agent.window().map_err(|error| error.code())
        };
        assert_eq!(window("--sink /a"), Ok(None));
        assert_eq!(window("--refresh-window 4m"), Ok(Some(Duration::from_secs(240))));
        assert_eq!(window("--sink /a --refresh-window 301"), Ok(Some(Duration::from_secs(301))));
        assert_eq!(window("--sink /a --refresh-window 5m"), Err("invalid_option"));
    }
}
