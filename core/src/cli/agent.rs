//! `agent`: hands out access tokens, until it is stopped. It prints what happens to the logins.

mod config;
mod diary;
mod service_manager;

use std::future::pending;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use self::config::LoginConfig;
use self::diary::{Diary, about};
use self::service_manager::{Reloading, Started};
use super::arguments::{Agent as Arguments, Which};
use super::failure::Result;
use crate::agent::{Agent, AgentOptions, LoginOptions};
use crate::option_value::invalid;
use crate::{AuthManager, Error};

pub(super) async fn run(which: &Which, arguments: Arguments) -> Result {
    let listener = service_manager::listener()?;
    let mut hangups =
        arguments.config.as_ref().map(|_| signal(SignalKind::hangup())).transpose()?;
    let configs = LoginConfig::all(&arguments)?;
    let (mut logins, mut watched) = (Vec::new(), Vec::new());
    for config in &configs {
        let (name, sinks) = (&config.name, &config.sinks);
        let (manager, watching) = open(config, which, configs.len() == 1).await?;
        watched.push((name, manager.subscribe(), watching));
        logins.push(LoginOptions { name: name.clone(), manager, sinks: sinks.clone() });
    }
    let mut agent = Agent::open(logins, options(&arguments, listener)?).await?;
    let (diary, mut following) = (Arc::new(Diary::new()), JoinSet::new());
    for place in agent.places() {
        diary.say(&format!("listening on {place}"));
    }
    for (name, events, watching) in watched {
        let name = (configs.len() > 1).then(|| name.clone());
        diary.say(&about(name.as_deref(), watching));
        following.spawn(Arc::clone(&diary).follow(name, events));
    }
    let _started = Started::new();
    loop {
        next(&mut hangups).await;
        reload(&mut agent, &configs, &arguments, &diary).await;
    }
}

/// Opens the login of `config`, and returns what to say of it. If the agent has others too, they do not
/// wait for a store that cannot be read.
async fn open(
    config: &LoginConfig,
    which: &Which,
    is_alone: bool,
) -> crate::error::Result<(AuthManager, &'static str)> {
    let manager = config.builder(which).build_unread()?;
    let read = manager.reload().await;
    if let Err(error) = read {
        if is_alone {
            return Err(error);
        }
        tracing::warn!(
            login = &*config.name,
            "the login is not handed out until its store can be read: {error}"
        );
        return Ok((manager, "watching; the store cannot be read"));
    }
    let watching = watching(&manager);
    Ok((manager, watching))
}

/// Returns what to say of the login of `manager` at the start.
fn watching(manager: &AuthManager) -> &'static str {
    if manager.hides_login() {
        "watching; the login that is stored is not handed out"
    } else if manager.auth().is_none() {
        "watching; nobody is signed in"
    } else {
        "watching"
    }
}

fn options(
    arguments: &Arguments,
    listener: Option<UnixListener>,
) -> crate::error::Result<AgentOptions> {
    if let (Some(path), Some(_)) = (&arguments.socket, &listener) {
        let problem = "and the service manager hands on a socket too";
        return Err(invalid("--socket", path.display(), problem, "leave it out"));
    }
    Ok(AgentOptions {
        listener,
        socket: arguments.socket.clone(),
        users: arguments.allow_uid.clone(),
        listen: arguments.listen,
        hosts: arguments.allow_host.clone(),
        bearer: arguments.bearer_file.clone(),
    })
}

/// Waits for the next SIGHUP; for ever if it ends the agent.
async fn next(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => hangups.recv().await.unwrap_or_default(),
        None => pending().await,
    }
}

/// Reads the sinks from the file again. `running` is what the agent was started with.
async fn reload(agent: &mut Agent, running: &[LoginConfig], arguments: &Arguments, diary: &Diary) {
    let _reloading = Reloading::new();
    let reloaded = async {
        let configs = LoginConfig::all(arguments)?;
        let sinks: Vec<_> = configs.iter().map(|it| (&*it.name, &*it.sinks)).collect();
        agent.set_sinks(&sinks).await?;
        Ok::<_, Error>(configs)
    };
    match reloaded.await {
        Ok(configs) => {
            warn_of_changes(running, &configs);
            let sinks: usize = configs.iter().map(|login| login.sinks.len()).sum();
            diary.say(&format!("reloaded; sinks in the file: {sinks}"));
        }
        Err(error) => {
            tracing::warn!("the sinks stay as they are, since they cannot be read again: {error}");
            diary.say("not reloaded");
        }
    }
}

/// Warns of what differs from the `running` logins, and is not a sink.
fn warn_of_changes(running: &[LoginConfig], read: &[LoginConfig]) {
    let of = |logins: &[LoginConfig], name: &str| {
        logins.iter().find(|login| login.name == name).map(|login| login.source.clone())
    };
    let mut names: Vec<_> = running.iter().chain(read).map(|login| &*login.name).collect();
    names.sort_unstable();
    names.dedup();
    for login in names.into_iter().filter(|name| of(running, name) != of(read, name)) {
        tracing::warn!(
            %login,
            "only sinks are reloaded, and the file says something else of this login than when the agent \
             was started; start it again for that"
        );
    }
}
