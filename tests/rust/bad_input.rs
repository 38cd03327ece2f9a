//! What a user can get wrong: each a clear error that says what, where and what to do, with
//! nothing overwritten and no token spent.
#![cfg(unix)]

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::DateTime;
use codex_auth_sdk::bindings::seconds;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::token_endpoint::{
    HttpTokenEndpoint, HttpTokenEndpointConfig, Redemption, StoredToken, TokenEndpoint,
    TokenTypeHint,
};
use codex_auth_sdk::{AuthManager, AuthManagerBuilder, Error, LogoutOptions, Secret, StoreKind};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::log::Log;
use codex_auth_tests::paused::simulated;
use serde_json::{Value, json};
use tempfile::TempDir;

/// `nobody`, in the place of root, who may read and write everything.
const NOBODY: u32 = 65534;

async fn refused(builder: AuthManagerBuilder, code: &str, parts: &[&str]) {
    let error = builder.build().await.expect_err("refused");
    assert_clear(&error, code, parts);
}

fn assert_clear(error: &Error, code: &str, parts: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.code(), code, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}

fn home_with(content: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("auth.json"), content).expect("written");
    home
}

#[tokio::test]
async fn a_missing_home() {
    let builder = || AuthManager::builder().codex_home("/no/such/folder");
    refused(builder(), "invalid_option", &["codex_home", "/no/such/folder", "create it"]).await;
    let home = home_with("{}");
    let file = home.path().join("auth.json");
    refused(AuthManager::builder().codex_home(file), "invalid_option", &["not a folder"]).await;
}

/// The login in `home`, and the files that were kept in its place.
fn kept_in(home: &TempDir) -> (Option<String>, Vec<PathBuf>) {
    let entries = std::fs::read_dir(home.path()).expect("a folder").flatten();
    let kept = entries.map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("auth.json.broken-"))
    });
    (std::fs::read_to_string(home.path().join("auth.json")).ok(), kept.collect())
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_or_a_logout_keeps_what_is_no_login_aside() {
    for content in ["no login", "{\"tokens\": {\"access_"] {
        for signs_in in [true, false] {
            let home = home_with(content);
            let path = home.path().join("auth.json");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("set");
            let builder = AuthManager::builder().codex_home(home.path());
            let builder = builder.environment(simulated(DateTime::UNIX_EPOCH));
            let manager = builder.build_unread().expect("a manager");
            assert_eq!(manager.reload().await.expect_err("broken").code(), "store_corrupt");
            assert_eq!(kept_in(&home), (Some(content.to_owned()), vec![]), "nothing was asked for");
            if signs_in {
                manager.login_with_api_key(&Secret::new("sk-new")).await.expect("signed in");
            } else {
                let out = manager.logout(LogoutOptions::default()).await.expect("signed out");
                assert!(!out.removed, "there was no login");
            }
            let (stored, kept) = kept_in(&home);
            assert_eq!(stored.is_some_and(|text| text.contains("sk-new")), signs_in);
            assert_eq!(path.exists(), signs_in);
            let [kept] = &*kept else { panic!("{kept:?}") };
            assert_eq!(std::fs::read_to_string(kept).expect("there"), content);
            assert_eq!(kept.metadata().expect("there").mode() & 0o777, 0o600);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_waits_for_a_sign_in() {
    let home = home_with("");
    let open = || {
        let builder = AuthManager::builder().codex_home(home.path());
        builder.environment(simulated(DateTime::UNIX_EPOCH)).build()
    };
    let manager = open().await.expect("a manager");
    assert!(manager.auth().is_none());
    assert_eq!(kept_in(&home), (Some(String::new()), vec![]), "it stays as it is");
    manager.login_with_api_key(&Secret::new("sk-new")).await.expect("signed in");
    let (stored, kept) = kept_in(&home);
    assert!(stored.is_some_and(|text| text.contains("sk-new")) && kept.is_empty());
    // Once there was a login, it is what a writer leaves that truncates.
    std::fs::write(home.path().join("auth.json"), "").expect("cut");
    assert_eq!(manager.reload().await.expect_err("cut").code(), "store_corrupt");
    assert!(manager.auth().is_some());
    manager.login_with_api_key(&Secret::new("sk-newer")).await.expect("signed in");
    assert!(kept_in(&home).1.is_empty());
}

#[tokio::test]
async fn a_file_that_is_not_a_login() {
    for content in ["secret", "[\"secret\"]", "{\"tokens\": \"secret\"}", "{\"tokens\": {}}"] {
        let home = home_with(content);
        let builder = AuthManager::builder().codex_home(home.path());
        refused(builder, "store_corrupt", &["auth.json", "move it away"]).await;
        let stored = std::fs::read_to_string(home.path().join("auth.json")).expect("there");
        assert_eq!(stored, content);
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_named_as_such_in_a_warning_and_in_the_error() {
    let log = Log::of_everything();
    for (content, looks_like) in [
        (r#"{"openai": {"type": "oauth", "refresh": "secret", "access": "secret"}}"#, "opencode"),
        (r#"{"accessToken": "secret", "refreshToken": "secret"}"#, "camel case"),
        (r#"{"openai_api_key": "secret"}"#, "OPENAI_API_KEY"),
    ] {
        let home = home_with(content);
        let manager = AuthManager::builder().codex_home(home.path()).build().await.expect("none");
        manager.reload().await.expect("readable");
        assert!(manager.auth().is_none());
        let place = home.path().join("auth.json").display().to_string();
        let authorization = manager.authorize("https://chatgpt.com/", None).expect("authorized");
        let error = authorization.auth().await.expect_err("no login");
        assert_clear(&error, "login_required", &[&place, looks_like, "sign in"]);
        assert!(!error.to_string().contains("secret"));
        let text = log.text();
        let warnings: Vec<_> =
            text.lines().filter(|line| line.contains("WARN") && line.contains(&place)).collect();
        assert!(warnings.len() == 1 && warnings[0].contains(looks_like), "{warnings:?}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn who_needs_a_login_is_told_where_it_was_looked_for() {
    let home = home_with("{}");
    let place = home.path().join("auth.json").display().to_string();
    for (builder, wanted) in [
        (AuthManager::builder(), "no login is stored"),
        (AuthManager::builder().account_id("acct-1"), "no login for the workspace acct-1"),
    ] {
        let manager = builder.codex_home(home.path()).build().await.expect("a manager");
        let authorization = manager.authorize("https://chatgpt.com/", None).expect("authorized");
        let error = authorization.auth().await.expect_err("no login");
        assert_clear(&error, "login_required", &[wanted, &place, "sign in"]);
    }
}

#[test]
fn a_home_or_a_secret_in_the_environment_that_is_no_text_is_not_passed_over() {
    let home = tempfile::tempdir().expect("a folder");
    let odd = home.path().join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&odd).expect("made");
    std::fs::write(odd.join("auth.json"), r#"{"OPENAI_API_KEY": "sk-1"}"#).expect("written");
    for (test, token) in [("in_an_odd_home", &b""[..]), ("with_an_odd_token", b"sec\xffret")] {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args(["--exact", test, "--ignored", "--nocapture"]);
        command.env("CODEX_HOME", &odd).env("CODEX_ACCESS_TOKEN", OsStr::from_bytes(token));
        let output = command.output().expect("started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    }
}

#[tokio::test]
#[ignore = "run by a_home_or_a_secret_in_the_environment_that_is_no_text_is_not_passed_over"]
async fn in_an_odd_home() {
    let manager = AuthManager::builder().build().await.expect("a manager");
    let auth = manager.auth().expect("signed in");
    assert_eq!(auth.access_token().expect("a key").expose(), "sk-1");
}

#[tokio::test]
#[ignore = "run by a_home_or_a_secret_in_the_environment_that_is_no_text_is_not_passed_over"]
async fn with_an_odd_token() {
    let error = AuthManager::builder().build().await.expect_err("no text");
    assert_clear(&error, "invalid_option", &["$CODEX_ACCESS_TOKEN", "UTF-8"]);
    assert!(!error.to_string().contains("sec"), "{error}");
}

#[tokio::test]
async fn a_tilde_that_no_shell_has_replaced() {
    let builder = AuthManager::builder().codex_home("~/.codex");
    refused(builder, "invalid_option", &["codex_home", "~/.codex", "only a shell"]).await;
}

#[tokio::test]
async fn a_folder_in_the_files_place() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join("auth.json")).expect("made");
    let builder = AuthManager::builder().codex_home(home.path());
    refused(builder, "store_unavailable", &["auth.json", "folder"]).await;
}

#[tokio::test]
async fn options_that_make_no_sense() {
    let home = home_with("{}");
    let builder = || AuthManager::builder().codex_home(home.path());
    let error = "vault".parse::<StoreKind>().expect_err("refused");
    assert_clear(&error, "invalid_option", &["vault", "keyring"]);
    assert_clear(
        &seconds("winner_wait", -1.0).expect_err("refused"),
        "invalid_option",
        &["winner_wait", "-1"],
    );
    assert_clear(
        &seconds("winner_wait", f64::NAN).expect_err("refused"),
        "invalid_option",
        &["winner_wait"],
    );
    refused(builder().token_url("nonsense"), "invalid_option", &["token_url", "nonsense"]).await;
    refused(builder().token_url("http://example.com/"), "invalid_option", &["token_url", "https"])
        .await;
    refused(builder().originator("a\nb: c"), "invalid_option", &["originator"]).await;
    refused(builder().user_agent("a\nb: c"), "invalid_option", &["user_agent"]).await;
    for proxy in ["nonsense", "ftp://proxy", "proxy:3128"] {
        refused(builder().proxy(proxy), "invalid_option", &["proxy", "http"]).await;
    }
    let soon = seconds("lock_timeout", 1.0).expect("a duration");
    refused(builder().lock_timeout(soon), "invalid_option", &["lock_timeout", "refresh_deadline"])
        .await;
}

#[tokio::test]
async fn a_password_in_a_url_is_not_repeated() {
    let home = home_with("{}");
    for url in [
        "https://user:secret@localhost/",
        "https://secret@localhost/",
        "user:secret@[",
        "http://user:secret@example.com/",
    ] {
        let builder = AuthManager::builder().codex_home(home.path()).token_url(url);
        let error = builder.build().await.expect_err("refused");
        assert_clear(&error, "invalid_option", &["token_url"]);
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    let builder = AuthManager::builder().codex_home(home.path()).proxy("user:secret@proxy:1");
    let error = builder.build().await.expect_err("refused");
    assert_clear(&error, "invalid_option", &["proxy"]);
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}

#[tokio::test]
async fn an_endpoint_made_by_hand_sends_nothing_unprotected_either() {
    let issuer = Issuer::start().expect("an issuer");
    // The same machine by a name that is not known to be it.
    let url = |path| format!("http://0.0.0.0:{}{path}", issuer.address().port());
    let config = HttpTokenEndpointConfig::new(
        url("/oauth/token").parse().expect("a URL"),
        url("/oauth/revoke").parse().expect("a URL"),
        "client",
        "test",
    );
    let endpoint = HttpTokenEndpoint::new(config, Environment::default());
    let (secret, soon) = (Secret::new("token"), Duration::from_secs(10));
    let token = StoredToken::new(&secret, None);
    let Redemption::NotSpent(answer) = endpoint.redeem(token, soon).await.redemption else {
        panic!("it was sent")
    };
    assert!(answer.detail.contains("https"), "{answer:?}");
    let revoked = endpoint.revoke(token, TokenTypeHint::RefreshToken, soon).await;
    assert!(revoked.expect_err("not sent").to_string().contains("https"));
    let stats = issuer.realm("").stats();
    assert_eq!((&stats["requests"], &stats["revocations"]), (&json!(0), &json!([])));
}

#[test]
fn files_and_folders_without_permission() {
    for (file, folder, code) in [
        (0o000, 0o755, "store_unavailable"),
        (0o600, 0o555, "store_read_only"),
        (0o400, 0o755, "store_read_only"),
    ] {
        let issuer = Issuer::start().expect("an issuer");
        let realm = issuer.realm("");
        let login = realm.call("login", &json!({"name": "a", "access_age_s": 7200}));
        let home = home_with(login["text"].as_str().expect("a record"));
        let path = home.path().join("auth.json");
        let before = std::fs::read(&path).expect("there");
        for (path, mode) in [(path.as_path(), file), (home.path(), folder)] {
            if is_root() {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
            }
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
        }
        let answer = as_nobody(home.path(), &realm);
        assert_eq!(answer["error"], code, "{answer}");
        assert_eq!(std::fs::read(&path).expect("there"), before);
        assert_eq!(realm.stats()["requests"], 0, "no token was spent");
        assert_eq!(realm.call("live", &json!({"label": "a0"}))["refresh"], true);
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("Linux").uid() == 0
}

/// What a contender says about its first request, or about why it cannot make one.
fn as_nobody(home: &Path, realm: &Realm) -> Value {
    let programs = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(programs.path(), PermissionsExt::from_mode(0o755)).expect("set");
    let program: PathBuf = programs.path().join("contender");
    std::fs::copy(env!("CARGO_BIN_EXE_contender"), &program).expect("copied");
    let mut command = Command::new(&program);
    command.arg(home).args([realm.url().as_str(), "nobody"]);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    // A contender that could not start does not listen any more.
    drop(writeln!(child.stdin.take().expect("piped"), "go"));
    let output = child.wait_with_output().expect("ended");
    let last = String::from_utf8_lossy(&output.stdout).lines().last().map(str::to_owned);
    serde_json::from_str(&last.expect("an answer")).expect("JSON")
}
