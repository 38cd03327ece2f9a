//! The public API of the crate: it is the one that `public-api.txt` lists, no release is broken by
//! it, and its HTTP client works in a program that has chosen nothing.

#![cfg(unix)]

mod listing;
mod release;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use codex_auth_sdk::storage::EphemeralStorage;
use codex_auth_sdk::{AuthClient, AuthManager};
use rustls::crypto::CryptoProvider;
use serde_json::Value;

use self::listing::Listing;
use self::release::{Release, compatible};

/// All features but those for this repository's bindings and tests.
const FEATURES: &str = "conformance,encrypted,reqwest-middleware,webbrowser";

/// The environment variable that makes the test write the list.
const UPDATE: &str = "UPDATE";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What rustdoc says about the crate.
///
/// The JSON output is unstable. Only rustdoc is told to allow it (`RUSTC_BOOTSTRAP`), so that Cargo
/// reuses the libraries that are built.
fn documentation() -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let rustdoc = folder.path().join("rustdoc");
    fs::write(&rustdoc, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n").expect("written");
    fs::set_permissions(&rustdoc, PermissionsExt::from_mode(0o755)).expect("a program");
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).env("RUSTDOC", &rustdoc);
    command.args(["rustdoc", "--quiet", "--locked", "-p", "codex-auth-sdk", "--lib"]);
    command.args(["--features", FEATURES]);
    command.args(["--", "-Zunstable-options", "--output-format", "json"]);
    assert!(command.status().expect("cargo").success());
    let test = std::env::current_exe().expect("a path");
    let target = test.ancestors().nth(3).expect("target/debug/deps");
    let json = fs::read(target.join("doc/codex_auth_sdk.json")).expect("what rustdoc says");
    serde_json::from_slice(&json).expect("JSON")
}

/// The version of the dependency `name` in the workspace's manifest, as far as programs must agree
/// with it; empty for a crate that is not named there.
fn version_of(name: &str) -> String {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| {
        let (key, value) = line.split_once(" = ")?;
        let is_asked_for = key.replace('-', "_") == name;
        is_asked_for.then(|| value.split('"').nth(1).unwrap_or_default())
    });
    version.map(compatible).unwrap_or_default()
}

#[test]
#[ignore = "it documents the crate, which takes a minute; run by `make docs`"]
fn the_public_api_is_the_one_that_is_listed() {
    let found = Listing::of(&documentation(), version_of);
    if std::env::var_os(UPDATE).is_some() {
        return fs::write(root().join("tests/public-api.txt"), found).expect("written");
    }
    let listed = read("tests/public-api.txt");
    let only = |these: &str, others: &str| -> Vec<String> {
        let others: Vec<_> = others.lines().collect();
        these.lines().filter(|line| !others.contains(line)).map(str::to_owned).collect()
    };
    let (gone, new) = (only(&listed, &found), only(&found, &listed));
    assert!(
        listed == found,
        "gone: {gone:#?}\nnew: {new:#?}\nif that is intended, run this test with {UPDATE}=1"
    );
}

#[test]
#[expect(clippy::print_stdout, reason = "a check that is left out says so")]
fn the_public_api_breaks_no_program_that_names_the_last_release() {
    let Some(release) = Release::last(&root()) else {
        return println!("there is no release yet, or no repository: nothing can break");
    };
    let version = env!("CARGO_PKG_VERSION");
    let broken = release.broken_by(&read("tests/public-api.txt"));
    assert!(
        broken.is_empty() || !release.reaches(version),
        "{version} breaks programs that name {}:\n{}",
        release.tag,
        broken.join("\n")
    );
}

#[tokio::test]
async fn a_client_is_made_where_the_program_has_chosen_no_cryptography() {
    assert!(CryptoProvider::get_default().is_none());
    let storage = Arc::new(EphemeralStorage::new(None));
    let manager = AuthManager::builder().storage(storage).build().await.expect("a manager");
    AuthClient::new(manager).expect("a client");
    assert!(CryptoProvider::get_default().is_none(), "that choice is the program's");
}

#[test]
fn the_docs_name_the_version_of_the_http_client() {
    let named = format!("reqwest` {}", version_of("reqwest"));
    for path in
        ["README.md", "core/README.md", "core/src/client.rs", "core/src/client/middleware.rs"]
    {
        assert!(read(path).contains(&named), "{path} does not name {named}");
    }
}
