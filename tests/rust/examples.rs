//! The example programs do what they say: one request, and a recovery from 401 in between.
//! Needs the bindings; see `contention.rs`.

use std::path::Path;
use std::process::Command;

use codex_auth_tests::issuer::Issuer;
use serde_json::json;

fn run(mut command: Command) {
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    let login = realm.call("login", &json!({"name": "a"}));
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("auth.json"), login["text"].as_str().expect("a record"))
        .expect("written");
    realm.run("kill_access", &json!({}));
    let output = command
        .arg(format!("{}/api/me", realm.url()))
        .env("CODEX_HOME", home.path())
        .env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", format!("{}/oauth/token", realm.url()))
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "200", "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let stats = realm.stats();
    assert_eq!((&stats["api_unauthorized"], &stats["grants"]), (&json!(1), &json!(1)), "{stats}");
}

fn script(variable: &str, default: &str, path: &str) -> Command {
    let mut command = Command::new(std::env::var_os(variable).unwrap_or_else(|| default.into()));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path));
    command
}

#[test]
fn rust() {
    let program = std::env::current_exe().expect("a path");
    let folder = program.ancestors().nth(2).expect("a folder");
    run(Command::new(folder.join("retry_on_401")));
}

#[test]
fn python() {
    run(script("PYTHON", "python3", "python/retry_on_401.py"));
}

#[test]
fn node() {
    run(script("NODE", "node", "node/retry-on-401.mjs"));
}
