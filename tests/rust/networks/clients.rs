//! The HTTP integrations of Python and Node behind a proxy. (Those of Rust follow no redirect to
//! another origin, and go by what reqwest knows of requests.)

use codex_auth_tests::program;
use serde_json::{Value, json};

use super::Machine;
use super::proxy::{PASSWORD, Proxy, is_proxy_denied};

const PYTHON: [&str; 6] =
    ["requests", "aiohttp", "httpx-sync", "httpx-async", "httpx2-sync", "httpx2-async"];
const NODE: [&str; 2] = ["fetch", "request"];

#[tokio::test(flavor = "multi_thread")]
async fn g9_a_proxy_carries_the_credential_and_no_redirect_takes_it_along() {
    if is_proxy_denied() {
        return;
    }
    let machine = Machine::new().await;
    let proxy = Proxy::start();
    // By https it is asked for a tunnel, by http it is sent whole URLs.
    let tunnelled = format!("https://localhost:{}/api", machine.server.port);
    let whole = format!("{}/api", machine.realm.url());
    let urls = [
        format!("{tunnelled}/redirect?to=/api/echo"),
        format!("{tunnelled}/redirect?to=/api/open&host=other"),
        format!("{whole}/redirect?to=/api/echo"),
        format!("{whole}/redirect?to=/api/open&host=other"),
    ];
    let python = PYTHON.map(|client| (client, program::python(), "python/through_proxy.py"));
    let node = NODE.map(|client| (client, program::node(), "node/through-proxy.mjs"));
    for (client, mut command, script) in python.into_iter().chain(node) {
        machine.sign_in(&json!({"name": "a"}));
        command.arg(program::file(script)).arg(client).arg(machine.home.path());
        command.arg(proxy.url(PASSWORD)).arg(machine.path("ca.pem"));
        let output = command.args(&urls).output().expect("it runs");
        assert!(output.status.success(), "{client}: {}", String::from_utf8_lossy(&output.stderr));
        check(&machine, client, &serde_json::from_slice(&output.stdout).expect("JSON"));
    }
}

/// Fails unless all requests to the origins had the credential, and those behind a redirect to
/// another one had none.
fn check(machine: &Machine, client: &str, statuses: &Value) {
    let with = |path| json!({"path": path, "authorization": "access:a0", "account": "acct-a"});
    let without = |path| json!({"path": path, "authorization": "none", "account": null});
    let expect = json!({
        "statuses": [200, 200, 200, 200],
        "seen": [
            with("/api/redirect"), with("/api/echo"),
            with("/api/redirect"), without("/api/open"),
            with("/api/redirect"), with("/api/echo"),
            with("/api/redirect"), without("/api/open"),
        ],
    });
    let check = json!({"actual": {"statuses": statuses}, "expect": expect});
    let checked = machine.realm.call("check_request", &check);
    assert_eq!(checked["mismatches"], json!([]), "{client}: {checked}");
}
