//! The real Codex CLI in encrypted mode, and ours in three languages, on one login: gnome-keyring
//! holds the passphrase, and every file has the CLI's own work factor.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use codex_auth_sdk::{AuthManager, LogoutOptions};
use codex_auth_tests::codex_cli::{CodexCli, installed, with_languages};
use codex_auth_tests::contender::{Contender, Language};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::session_keyring::SessionKeyring;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A session in which a Codex CLI encrypts its login.
struct Desk {
    session: SessionKeyring,
    realm: Realm,
    _issuer: Issuer,
    home: TempDir,
    cli: CodexCli,
}

impl Desk {
    /// One with the CLI's setting `store`; none where the machine cannot have one, which is said.
    #[expect(clippy::print_stderr, reason = "a skip is said")]
    fn new(program: &Path, store: &str) -> Option<Self> {
        let Some(session) = SessionKeyring::start() else {
            eprintln!(
                "skipped: there is no gnome-keyring here; install gnome-keyring, dbus and libsecret-tools"
            );
            return None;
        };
        let issuer = Issuer::start().expect("an issuer");
        let (realm, home) = (issuer.realm(""), tempfile::tempdir().expect("a folder"));
        let cli = CodexCli::new(program, home.path(), &realm, "codex").expect("configured");
        let cli = cli.with_store(store, &session).expect("configured");
        let config = OpenOptions::new().append(true).open(home.path().join("config.toml"));
        writeln!(config.expect("opened"), "[features]\nsecret_auth_storage = true").expect("set");
        Some(Self { session, realm, _issuer: issuer, home, cli })
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("secrets/codex_auth.age")
    }

    /// One request of a process of ours.
    fn request(&self, language: Language, store: &str) -> Value {
        let mut command = language.command();
        self.session.enter(&mut command);
        let options = json!({"store": store});
        let mut contender =
            Contender::start_by(command, language, self.home.path(), &self.realm, &options);
        contender.wait_until_ready();
        contender.go();
        contender.answer()
    }

    /// A process of ours signs out.
    fn sign_out(&self) {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args(["--exact", "signing_out_of_this_session", "--ignored", "--nocapture"]);
        self.session.enter(&mut command);
        command.env("TEST_HOME", self.home.path()).env("TEST_URL", self.realm.url());
        let output = command.output().expect("started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    /// How many requests the token endpoint has had.
    fn calls(&self) -> u64 {
        self.realm.stats()["requests"].as_u64().expect("a number")
    }
}

#[tokio::test]
#[ignore = "run by the others"]
async fn signing_out_of_this_session() {
    let variable = |name| std::env::var_os(name).expect("set").into_string().expect("text");
    let manager = AuthManager::builder()
        .codex_home(variable("TEST_HOME"))
        .token_url(format!("{}/oauth/token", variable("TEST_URL")))
        .build()
        .await
        .expect("a manager");
    assert!(manager.logout(LogoutOptions::default()).await.expect("signed out").removed);
}

#[test]
fn a_login_of_a_cli_that_encrypts_goes_on_with_us_and_back_and_ends_for_both() {
    share_one_login("keyring");
}

#[test]
fn so_does_one_of_a_cli_that_encrypts_where_it_can() {
    share_one_login("auto");
}

fn share_one_login(store: &str) {
    for (program, languages) in with_languages(&with_encryption()) {
        let Some(desk) = Desk::new(program, store) else { return };
        desk.cli.login().expect("signed in");
        assert_encrypted(&desk);
        for &language in languages {
            desk.realm.run("kill_access", &json!({}));
            let before = desk.calls();
            assert_eq!(
                desk.request(language, "codex")["status"],
                200,
                "ours refreshes: {language:?}"
            );
            assert_eq!(desk.calls(), before + 1);
            desk.cli.exec().expect("the CLI goes on with our record");
            assert_eq!(desk.calls(), before + 1, "{language:?}");
            desk.realm.run("kill_access", &json!({}));
            desk.cli.exec().expect("the CLI refreshes what we saved");
            let after = desk.calls();
            assert!(after > before + 1);
            assert_eq!(
                desk.request(language, "codex")["status"],
                200,
                "we go on with its: {language:?}"
            );
            assert_eq!(desk.calls(), after);
        }
        assert_encrypted(&desk);
        desk.sign_out();
        desk.cli.exec().expect_err("signed out by us");
        desk.cli.login().expect("signed in again, by the passphrase that is there");
        for &language in languages {
            assert_eq!(desk.request(language, "encrypted")["status"], 200, "{language:?}");
        }
        desk.cli.logout().expect("signed out");
        for &language in languages {
            assert_eq!(desk.request(language, "codex")["error"], "logged_out", "{language:?}");
        }
    }
}

/// The programs that can encrypt a login.
fn with_encryption() -> Vec<PathBuf> {
    let can = |program: &Path| {
        let output = Command::new(program).args(["features", "list"]).output().expect("started");
        String::from_utf8_lossy(&output.stdout).contains("secret_auth_storage")
    };
    let installed = installed();
    let programs: Vec<_> = installed.iter().filter(|program| can(program)).cloned().collect();
    let is_one_missing = programs.is_empty() && !installed.is_empty();
    assert!(!is_one_missing, "no Codex CLI in CODEX_CLIS encrypts its login");
    programs
}

/// The login is in the encrypted file, and nowhere else.
fn assert_encrypted(desk: &Desk) {
    assert!(desk.file().exists() && !desk.home.path().join("auth.json").exists());
    let items = [desk.session.items("Codex Auth"), desk.session.items("codex")];
    assert!(!items[0].contains("secret = ") && items[1].contains("secret = "), "{items:?}");
}
