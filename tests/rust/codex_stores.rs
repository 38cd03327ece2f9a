//! The real Codex CLI and ours on one login outside of `auth.json`, in a real desktop session.
//! `make test-codex` fetches the CLI.

use codex_auth_tests::codex_cli::{CodexCli, installed, with_languages};
use codex_auth_tests::contender::{Contender, Language};
use codex_auth_tests::session_keyring::Desk;
use serde_json::{Value, json};

/// The stores, by the name that `config.toml` has for them.
const STORES: [&str; 2] = ["keyring", "auto"];

/// A desk with a CLI whose `config.toml` names the store. Ours learns it from there.
struct Office {
    desk: Desk,
    cli: CodexCli,
    language: Language,
    what: String,
}

impl Office {
    fn contender(&self) -> Contender {
        let mut contender = self.desk.contender(self.language, "codex");
        contender.wait_until_ready();
        contender
    }

    /// A request that must come through.
    fn request(&self, contender: &mut Contender) {
        contender.go();
        let answer = contender.answer();
        assert_eq!(answer["status"], 200, "{}: {answer}", self.what);
    }

    /// From now on somebody has to refresh the login.
    fn kill_access(&self) {
        self.desk.realm.run("kill_access", &json!({}));
    }

    fn succeeded(&self, turn: Result<(), String>) {
        turn.unwrap_or_else(|error| panic!("{}: {error}", self.what));
    }

    /// Who has refreshed the login, and how often. Nobody was ever refused.
    fn redeemers(&self) -> Value {
        let mut stats = self.desk.realm.stats();
        let harm = [&stats["refused"], &stats["replays"]];
        assert_eq!(harm, [0, 0], "{}: {stats}", self.what);
        stats["redeemers"].take()
    }

    /// What the keyring's only item holds; `auth.json` is not there besides.
    fn tokens(&self) -> Vec<String> {
        assert!(!self.desk.file().exists(), "{}", self.what);
        self.desk.in_keyring()
    }

    fn assert_signed_out(&self) {
        let left = (self.desk.item(), self.desk.file().exists(), self.cli.is_signed_in());
        assert_eq!(left, (None, false, false), "{}", self.what);
    }
}

/// Every CLI with each store, and with each of our languages that meets it.
fn everywhere(stores: &[&str], test: impl Fn(&Office)) {
    for (program, languages) in with_languages(&installed()) {
        for store in stores {
            for &language in languages {
                let Some(desk) = Desk::new() else { return };
                let cli = CodexCli::new(program, desk.home.path(), &desk.realm, "codex");
                let cli = cli.and_then(|cli| cli.with_store(store, &desk.session));
                let what = format!("{}, {store}, {language:?}", program.display());
                test(&Office { desk, cli: cli.expect("configured"), language, what });
            }
        }
    }
}

#[test]
fn the_cli_and_ours_go_on_with_each_others_login() {
    everywhere(&STORES, |office| {
        let ours = office.language.name();
        office.succeeded(office.cli.login());
        let made = office.desk.item().expect("an item of the CLI");
        let mut contender = office.contender();
        office.request(&mut contender);
        assert_eq!(office.redeemers(), json!({}), "ours uses the CLI's");
        let mut server = office.cli.app_server().expect("an app server");
        office.succeeded(server.turn());

        office.kill_access();
        office.request(&mut contender);
        assert_eq!(office.redeemers(), json!({ ours: 1 }), "{}", office.what);
        let replaced = office.desk.item().expect("an item");
        assert_eq!((&replaced.path, &replaced.description), (&made.path, &made.description));
        assert_ne!(replaced.secret, made.secret);
        office.succeeded(server.turn());
        office.succeeded(office.cli.exec());
        assert_eq!(office.redeemers(), json!({ ours: 1 }), "the CLI uses ours: {}", office.what);

        office.kill_access();
        office.succeeded(server.turn());
        let after = json!({ ours: 1, "codex": 1 });
        assert_eq!(office.redeemers(), after, "{}", office.what);
        office.request(&mut contender);
        assert_eq!(office.redeemers(), after, "ours uses the CLI's again: {}", office.what);
        assert!(!office.tokens().is_empty() && office.desk.is_live(), "{}", office.what);
    });
}

#[test]
fn g3_a_logout_is_noticed_by_the_other_and_not_undone() {
    everywhere(&STORES, |office| {
        office.succeeded(office.cli.login());
        let mut contender = office.contender();
        assert!(office.cli.is_signed_in(), "{}", office.what);
        let answer = contender.log_out();
        assert_eq!((&answer["removed"], &answer["revoked"]), (&json!(true), &json!(true)));
        office.assert_signed_out();

        office.succeeded(office.cli.login());
        contender.read();
        assert!(contender.answer()["reads"].is_number(), "ours follows: {}", office.what);
        office.kill_access();
        office.desk.realm.run("hold", &json!({"at": "reply"}));
        contender.go();
        drop(office.desk.realm.wait(&json!({"held": 1})));
        office.succeeded(office.cli.logout());
        office.desk.realm.run("release", &json!({}));
        let answer = contender.answer();
        assert!(answer["error"].is_string(), "{}: {answer}", office.what);
        contender.go();
        assert_eq!(contender.answer()["error"], "logged_out", "{}", office.what);
        assert_eq!(contender.close()["closed"], true);
        office.assert_signed_out();
    });
}

#[test]
fn auto_moves_a_login_out_of_the_file_for_the_other_too() {
    everywhere(&["auto"], |office| {
        let ours = office.language.name();
        office.desk.sign_in("a");
        office.request(&mut office.contender());
        assert!(office.tokens().contains(&"refresh:a1".to_owned()), "{}", office.what);
        let made = office.desk.item().expect("an item of ours");
        office.succeeded(office.cli.exec());
        assert_eq!(office.redeemers(), json!({ ours: 1 }), "{}", office.what);

        office.succeeded(office.cli.logout());
        office.desk.sign_in("b");
        office.succeeded(office.cli.exec());
        assert!(!office.desk.file().exists(), "the CLI has moved it");
        let made_by_cli = office.desk.item().expect("an item of the CLI");
        assert_eq!(made.description, made_by_cli.description, "made as the CLI does");
        office.request(&mut office.contender());
        assert_eq!(office.redeemers(), json!({ ours: 1, "codex": 1 }), "{}", office.what);
    });
}
