//! What `status --check` says of a way to the server that fails.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use codex_auth_tests::program;
use serde_json::{Value, json};

use crate::{Machine, NOWHERE};

/// The report on a login whose token endpoint is at `url`, by a command with these environment
/// variables, and its exit code.
fn status(machine: &Machine, url: &str, variables: &[(&str, &str)]) -> (Option<i32>, Value) {
    machine.sign_in(&json!({"name": "a"}));
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(machine.path("auth.json"), private).expect("changed");
    let program = program::beside_this_one("codex-auth-sdk").expect("it has been built");
    let mut command = Command::new(program);
    command.args(["status", "--check", "--json"]);
    // A Codex CLI of this machine is none of the test's.
    command.env_clear().env("CODEX_HOME", machine.home.path());
    command.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", url).envs(variables.iter().copied());
    let output = command.output().expect("started");
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_and_a_proxy_that_fail_are_problems_of_the_command() {
    let machine = Machine::new().await;
    let (here, elsewhere) = (machine.at("localhost"), machine.at("0.0.0.0"));
    let authority = machine.path("ca.pem");
    let (code, report) = status(&machine, &here, &[("CODEX_CA_CERTIFICATE", &authority)]);
    assert_eq!((code, &report["problems"]), (Some(0), &json!([])));
    for (url, variables, named) in [
        (&here, &[][..], "does not trust its certificate"),
        (&here, &[("CODEX_CA_CERTIFICATE", "/not/there.pem")], "/not/there.pem"),
        (&elsewhere, &[("HTTPS_PROXY", NOWHERE)], "through the proxy of $HTTPS_PROXY"),
    ] {
        let (code, report) = status(&machine, url, variables);
        let problem = &report["problems"][0];
        assert_eq!((code, &problem["code"]), (Some(4), &json!("server_unreachable")), "{report}");
        let what = problem["what"].as_str().expect("text");
        assert!(what.contains(named) && problem["fix"].is_string(), "{problem}");
        assert_eq!(report["problems"].as_array().map(Vec::len), Some(1), "{report}");
    }
    assert_eq!(machine.realm.stats()["requests"], 0, "no token was sent");
}
