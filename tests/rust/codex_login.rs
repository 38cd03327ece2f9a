//! Logins that ours made, in the hands of the real Codex CLI, and the other way round, and the
//! workspaces that it switches to. `make test-codex` fetches the CLI.
#![cfg(target_os = "linux")]

use std::path::Path;

use codex_auth_sdk::{AuthManager, LoginOptions, LogoutOptions};
use codex_auth_tests::chromium::Chromium;
use codex_auth_tests::codex_cli::{CodexCli, installed};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::options::with;
use codex_auth_tests::watchdog::Watchdog;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The field of a record that says where its tokens are from.
const PROVENANCE: &str = "oauth_provenance";

/// One home of a CLI and of ours.
struct Home {
    folder: TempDir,
    cli: CodexCli,
    realm: Realm,
    _issuer: Issuer,
}

impl Home {
    fn new(program: &Path) -> Self {
        let (issuer, folder) = (Issuer::start().expect("an issuer"), tempfile::tempdir());
        let (realm, folder) = (issuer.realm(""), folder.expect("a folder"));
        let cli = CodexCli::new(program, folder.path(), &realm, "codex").expect("configured");
        Self { folder, cli, realm, _issuer: issuer }
    }

    async fn manager(&self) -> AuthManager {
        let builder = AuthManager::builder().codex_home(self.folder.path());
        let builder = builder.issuer(self.realm.url()).originator("ours");
        builder.build().await.expect("a manager")
    }

    /// The stored record, but for what every refresh changes.
    fn lasting(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.path().join("auth.json"));
        let mut record: Value = serde_json::from_str(&text.expect("a record")).expect("JSON");
        for name in ["id_token", "access_token", "refresh_token"] {
            assert!(record["tokens"][name].take().is_string(), "{name}");
        }
        assert!(record["last_refresh"].take().is_string());
        record
    }

    /// What the record calls the sign-in that it is from; an older release does not write it.
    fn owner(&self) -> Option<String> {
        self.lasting()["tokens"]["login_owner_id"].as_str().map(str::to_owned)
    }

    fn redeemers(&self) -> Value {
        self.realm.stats()["redeemers"].take()
    }

    /// The CLI works with the login as it finds it.
    fn assert_used_by_the_cli(&self) {
        let before = self.redeemers();
        assert!(self.cli.is_signed_in());
        assert_eq!(self.cli.exec(), Ok(()));
        assert_eq!(self.redeemers(), before, "the login was good");
    }

    /// And renews it, and ours goes on with that.
    async fn assert_renewed_by_the_cli(&self, manager: &AuthManager) {
        let auth = manager.auth().expect("signed in");
        self.realm.run("kill_access", &json!({}));
        assert_eq!(self.cli.exec(), Ok(()));
        let redeemers = self.redeemers();
        assert!(redeemers["codex"].is_u64(), "{redeemers}");
        assert!(manager.refresh_token(&auth).await.expect("adopted").is_some());
        assert_eq!(self.redeemers(), redeemers, "ours had no need to");
    }
}

/// Whether this release of the CLI stores where tokens are from. An older one drops a field that it
/// does not know.
fn knows_provenance(program: &Path) -> bool {
    let home = Home::new(program);
    assert_eq!(home.cli.login(), Ok(()));
    home.lasting()["tokens"][PROVENANCE].is_object()
}

#[tokio::test]
async fn the_cli_goes_on_with_a_login_that_ours_made() {
    for program in installed() {
        let knows_provenance = knows_provenance(&program);
        for by_browser in [true, false] {
            let _watchdog = Watchdog::over("a login for the CLI");
            let home = Home::new(&program);
            let manager = home.manager().await;
            if by_browser {
                let Some(mut browser) = Chromium::start().await else { continue };
                let options = with(LoginOptions::default(), |it| it.ports = vec![0]);
                let login = manager.login_with_browser(options).await.expect("begun");
                browser.open(login.authorization_url()).await;
                browser.sees("Signed in").await;
                login.wait().await.expect("signed in");
            } else {
                let login = manager.login_with_device_code(LoginOptions::default()).await;
                login.expect("begun").wait().await.expect("signed in");
            }
            let mut made = home.lasting();
            home.assert_used_by_the_cli();
            home.assert_renewed_by_the_cli(&manager).await;
            if !knows_provenance {
                made["tokens"].as_object_mut().expect("tokens").remove(PROVENANCE);
            }
            assert_eq!(home.lasting(), made, "the CLI knows all of it");
            assert_eq!(home.cli.logout(), Ok(()));
            manager.reload().await.expect("read");
            assert!(manager.auth().is_none(), "the CLI has signed it out");
        }
    }
}

#[tokio::test]
async fn ours_goes_on_with_a_login_that_the_cli_made() {
    for program in installed() {
        let _watchdog = Watchdog::over("a login of the CLI");
        let home = Home::new(&program);
        assert_eq!(home.cli.login(), Ok(()));
        let made = home.lasting();
        let manager = home.manager().await;
        let auth = manager.auth().expect("signed in");
        assert_eq!(auth.account_id(), Some("acct-device"));
        assert!(manager.refresh_token(&auth).await.expect("renewed").is_some());
        assert_eq!(home.redeemers(), json!({"ours": 1}));
        assert_eq!(home.lasting(), made, "ours keeps what the CLI alone knows");
        home.assert_used_by_the_cli();
        home.assert_renewed_by_the_cli(&manager).await;
        let signed_out = manager.logout(LogoutOptions::default()).await.expect("signed out");
        assert!(signed_out.removed && signed_out.revoked);
        assert!(!home.cli.is_signed_in());
        assert!(home.cli.exec().is_err());
    }
}

#[tokio::test]
async fn a_login_outlives_the_workspaces_that_the_cli_switches_to() {
    for program in installed() {
        let _watchdog = Watchdog::over("a switch of the workspace");
        let home = Home::new(&program);
        assert_eq!(home.cli.login(), Ok(()));
        let Some(owner) = home.owner() else { continue };
        let other = json!({"name": "b", "user_id": "user-device", "account_id": "acct-b"});
        home.realm.run("login", &other);
        let manager = home.manager().await;
        let mut editor = home.cli.app_server().expect("started");
        assert_eq!(editor.switch_workspace(&owner, "acct-b"), Ok(()));
        manager.reload().await.expect("read");
        let auth = manager.auth().expect("signed in");
        assert_eq!(auth.account_id(), Some("acct-b"));

        // The CLI switches back while the record still holds the refresh token that ours has redeemed.
        home.realm.run("hold", &json!({"at": "reply"}));
        let refresh = tokio::spawn(async move { manager.refresh_token(&auth).await });
        home.realm.call_async("wait", json!({"until": {"held": 1}})).await;
        assert_eq!(editor.switch_workspace(&owner, "acct-device"), Ok(()));
        home.realm.run("release", &json!({}));
        let refreshed = refresh.await.expect("it ends").expect("nothing failed");
        assert!(refreshed.is_none(), "what was begun in one workspace does not go on in another");
        assert_eq!(home.lasting()["tokens"]["account_id"], "acct-device");
        assert_eq!(home.redeemers(), json!({"ours": 1}));

        home.realm.run("kill_access", &json!({}));
        assert_eq!(home.cli.exec(), Ok(()), "the stored refresh token is the new one");
        let stats = home.realm.stats();
        assert_eq!([&stats["refused"], &stats["replays"]], [0, 0], "{stats}");
    }
}
