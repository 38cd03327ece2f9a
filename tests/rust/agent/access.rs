//! Which programs the agent answers.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use codex_auth_tests::privilege::{
    ORDINARY_USER, as_ordinary_user, is_denied, is_ordinary_user_denied, is_root_denied,
};
use reqwest::header::{AUTHORIZATION, HOST, ORIGIN};

use crate::scene::{Agent, Reply, Scene, http};

/// An agent that listens on loopback too, its URL, and the bearer.
pub(crate) fn listening(scene: &Scene, more: &[&str]) -> (Agent, String, String) {
    let file = scene.path("bearer");
    let file = file.to_str().expect("a text");
    let arguments = [&["--listen", "127.0.0.1:0", "--bearer-file", file], more].concat();
    let agent = scene.agent(&arguments);
    let line = agent.said("http://");
    let url = line.split_once("http://").map(|(_, address)| format!("http://{}", address.trim()));
    let bearer = std::fs::read_to_string(file).expect("made");
    (agent, url.expect("an address"), format!("Bearer {bearer}"))
}

/// What the token command of a client prints.
fn token(scene: &Scene, run_as: fn(&Command) -> Command, bearer: bool) -> (Option<i32>, String) {
    let mut command = scene.command(&["--store", &scene.address(), "token"]);
    command.env_remove("CODEX_HOME").env("HOME", "/");
    let mut command = run_as(&command);
    command.env_remove("CODEX_HOME").env("HOME", "/");
    if bearer {
        command.env("CODEX_AUTH_AGENT_BEARER_FILE", scene.path("shared"));
    }
    let output = command.output().expect("started");
    let [stdout, stderr] = [output.stdout, output.stderr];
    let said = String::from_utf8([stdout, stderr].concat()).expect("a text");
    (output.status.code(), said)
}

/// Copies the bearer for the ordinary user.
fn share_bearer(scene: &Scene) {
    std::fs::copy(scene.path("bearer"), scene.path("shared")).expect("copied");
    let user = Some(ORDINARY_USER);
    std::os::unix::fs::chown(scene.path("shared"), user, user).expect("given");
}

#[tokio::test]
async fn an_address_is_for_programs_that_know_the_bearer_and_for_no_page() {
    let scene = Scene::signed_in();
    let (_agent, url, bearer) = listening(&scene, &["--allow-host", "host.docker.internal"]);
    let port = url.rsplit_once(':').expect("a port").1.to_owned();
    let ask = |header: Option<(reqwest::header::HeaderName, String)>, bearer: &str| {
        let request = http().get(format!("{url}/v1/token"));
        let request = header.into_iter().fold(request, |it, (name, value)| it.header(name, value));
        let request =
            if bearer.is_empty() { request } else { request.header(AUTHORIZATION, bearer) };
        Reply::of(request)
    };
    assert_eq!(ask(None, &bearer).await.status, 200);
    for host in ["localhost", "127.0.0.1", "[::1]", "host.docker.internal"] {
        assert_eq!(
            ask(Some((HOST, format!("{host}:{port}"))), &bearer).await.status,
            200,
            "{host}"
        );
    }
    let wrong = format!("{}x", &bearer[..bearer.len() - 1]);
    let refused = [
        (ask(None, "").await, 401),
        (ask(None, &wrong).await, 401),
        (ask(Some((HOST, format!("evil.test:{port}"))), &bearer).await, 421),
        (ask(Some((HOST, "127.0.0.1:1".to_owned())), &bearer).await, 421),
        (ask(Some((ORIGIN, "http://evil.test".to_owned())), &bearer).await, 403),
        (ask(Some((ORIGIN, "null".to_owned())), &bearer).await, 403),
    ];
    for (reply, expected) in refused {
        assert_eq!((reply.status, &*reply.code()), (expected, "not_allowed"), "{reply:?}");
        assert!(!reply.text.contains("access_token"), "{reply:?}");
    }
}

#[test]
fn an_agent_is_reached_from_elsewhere_by_no_address_and_without_a_bearer_by_none() {
    let scene = Scene::signed_in();
    let file = scene.path("bearer");
    let bearer = ["--bearer-file", file.to_str().expect("a text")];
    for (address, more) in [("0.0.0.0:0", &bearer[..]), ("127.0.0.1:0", &[]), ("here", &bearer)] {
        let mut command = scene.command(&["agent", "--listen", address]);
        let ended = command.args(more).output().expect("started");
        assert_eq!(ended.status.code(), Some(2), "{address}: {ended:?}");
    }
}

#[test]
fn another_user_is_answered_where_it_is_named_or_knows_the_bearer() {
    if is_root_denied() || is_ordinary_user_denied() {
        return;
    }
    let scene = Scene::signed_in();
    let mut grant = scene.stored()["tokens"]["access_token"].as_str().expect("a token").to_owned();
    grant.push('\n');
    let agent = scene.agent(&[]);
    // The gate is the number of the user, and not the modes.
    let open = PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(scene.socket(), open).expect("opened");
    let open = PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(scene.path("run"), open).expect("opened");
    let (code, said) = token(&scene, as_ordinary_user, false);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(&format!("--allow-uid {ORDINARY_USER}")), "{said}");
    drop(agent);
    let agent = scene.agent(&["--allow-uid", &ORDINARY_USER.to_string()]);
    assert_eq!(scene.socket().metadata().expect("there").mode() & 0o777, 0o666);
    assert_eq!(token(&scene, as_ordinary_user, false), (Some(0), grant.clone()));
    drop(agent);
    let bearer = scene.path("bearer");
    let _agent = scene.agent(&["--bearer-file", bearer.to_str().expect("a text")]);
    share_bearer(&scene);
    assert_eq!(token(&scene, as_ordinary_user, true), (Some(0), grant));
}

/// A program in a user namespace of its own in which this user does not exist.
fn as_stranger(program: &Command) -> Command {
    let mut command = as_ordinary_user(&Command::new("unshare"));
    command.args(["--user", "--"]).arg(program.get_program()).args(program.get_args());
    command
}

#[test]
fn a_stranger_from_another_user_namespace_needs_the_bearer_and_is_told_so() {
    let probe = &mut as_stranger(&Command::new("true"));
    let remedy = "let users make namespaces";
    if is_root_denied() || is_denied("user namespaces", remedy, probe) {
        return;
    }
    let scene = Scene::signed_in();
    // An agent that runs in the first namespace knows that user; one in another does not.
    let program = scene.command(&["agent", "--socket"]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--"]).arg(program.get_program());
    command.args(program.get_args()).arg(scene.socket());
    command.args(["--bearer-file", scene.path("bearer").to_str().expect("a text")]);
    command.env("CODEX_HOME", scene.path("home"));
    let mut agent = Agent::start(command);
    agent.wait_for("watching");
    let (code, said) = token(&scene, as_ordinary_user, false);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("another user namespace") && said.contains("BEARER_FILE"), "{said}");
    share_bearer(&scene);
    let (code, said) = token(&scene, as_ordinary_user, true);
    assert_eq!(code, Some(0), "{said}");
    let ended = scene.command(&["agent", "--allow-uid", "65534"]).output().expect("started");
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
}
