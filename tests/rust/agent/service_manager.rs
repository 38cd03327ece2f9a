//! The agent as a service of systemd: what it tells, and the socket that it is handed.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};

use crate::scene::{Agent, Scene, get};

#[test]
fn systemd_is_told_of_the_start_of_a_reload_and_of_the_end() {
    let scene = Scene::signed_in();
    let (config, home) = (scene.path("agent.toml"), scene.path("home"));
    let text = format!("[[login]]\nname = \"one\"\ncodex_home = {home:?}\n");
    std::fs::write(&config, text).expect("written");
    let manager = UnixDatagram::bind(scene.path("notify")).expect("bound");
    let heard = || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    let mut command = scene.agent_command(&["--config"]);
    command.arg(config).env("NOTIFY_SOCKET", scene.path("notify"));
    let mut agent = Agent::start(command);
    assert_eq!(heard(), "READY=1");
    agent.wait_for("watching");
    agent.signal("HUP");
    let reloading = heard();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
    assert!(matches!(time, Some(Ok(1..))), "{reloading}");
    assert_eq!(heard(), "READY=1");
    agent.signal("TERM");
    assert_eq!(heard(), "STOPPING=1");
    agent.end();
}

/// The command of an agent that is handed `listener` as systemd does it.
fn handed(scene: &Scene, listener: &UnixListener, arguments: &[&str]) -> Command {
    let program = scene.command(&["agent"]);
    let hand_on = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", hand_on]).arg(program.get_program()).args(program.get_args());
    command.args(arguments).env("CODEX_HOME", scene.path("home"));
    let listener = listener.try_clone().expect("cloned");
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    command
}

#[tokio::test]
async fn a_socket_of_systemd_is_used_and_outlives_the_agent() {
    let scene = Scene::signed_in();
    std::fs::create_dir(scene.path("run")).expect("created");
    let listener = UnixListener::bind(scene.socket()).expect("bound");
    let socket = scene.socket();
    let mut agent = Agent::start(handed(&scene, &listener, &[]));
    agent.wait_for(&format!("listening on unix:{}", socket.display()));
    assert_eq!(scene.get("/v1/token").await.status, 200);
    agent.signal("TERM");
    agent.end();
    // A client that comes in between waits for the next agent.
    let early = tokio::spawn(async move { get(&socket, "/v1/token").await });
    let _agent = Agent::start(handed(&scene, &listener, &[]));
    assert_eq!(early.await.expect("no panic").status, 200);
}

#[test]
fn a_socket_of_systemd_beside_another_one_is_refused() {
    let scene = Scene::signed_in();
    std::fs::create_dir(scene.path("run")).expect("created");
    let listener = UnixListener::bind(scene.path("run/handed.sock")).expect("bound");
    let (own, socket) = (scene.socket(), scene.path("not a socket"));
    let arguments = ["--socket", own.to_str().expect("a text")];
    let ended = handed(&scene, &listener, &arguments).output().expect("started");
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let mut other = handed(&scene, &listener, &[]);
    other.stdin(std::fs::File::create(socket).expect("created"));
    let ended = other.output().expect("started");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("ListenStream="), "{said}");
}
