//! The arguments of `agent`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::duration;
use crate::agent::SinkOptions;

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
    /// How long before its end a token is refreshed, say 10m [default: 10m, or half its life]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) refresh_window: Option<Duration>,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| "write an address of loopback and a port: 127.0.0.1:8130".to_owned())
}
