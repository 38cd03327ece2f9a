//! The real CLI signs in and out while ours is in the middle of a refresh.

use std::path::Path;

use serde_json::json;

use super::SharedLogin;
use super::scene::expect;
use crate::codex_cli::CodexCli;
use crate::contender::{Contender, Language};
use crate::torture::Trial;

/// Logins and logouts by `codex` during our refreshes, in each language.
///
/// # Panics
///
/// If the CLI cannot be configured.
#[must_use]
pub fn sessions(program: &Path, languages: &[Language]) -> Trial {
    let mut trial = Trial::new("a CLI signs in and out while ours refreshes");
    for language in languages {
        let account = json!({"account_id": "acct-a", "user_id": "user-a", "email": "a@example.com",
            "plan": "plus", "fedramp": false});
        let login = SharedLogin::new(&json!({"account": account}));
        let cli = CodexCli::new(program, login.home(), login.realm(), "codex");
        let cli = cli.expect("configured");
        let mut contender = login.contender(*language, &json!({}));
        let end = sign_in_and_out(&login, &cli, &mut contender);
        trial.tried += 1;
        trial.check(end.is_ok(), || format!("{}: {end:?}", language.name()));
    }
    trial
}

fn sign_in_and_out(
    login: &SharedLogin,
    cli: &CodexCli,
    contender: &mut Contender,
) -> Result<(), String> {
    // A login of the CLI revokes the one that it replaces.
    begin_refresh(login, contender);
    cli.login()?;
    let written = login.stored();
    login.realm().run("release", &json!({}));
    let answer = contender.answer();
    expect(answer["status"] == 200, || format!("ours did not follow the login: {answer}"))?;
    expect(login.stored() == written, || "the login was undone".to_owned())?;
    begin_refresh(login, contender);
    cli.logout()?;
    login.realm().run("release", &json!({}));
    let answer = contender.answer();
    expect(answer["error"].is_string(), || format!("ours did not follow the logout: {answer}"))?;
    expect(login.stored().is_none(), || "the logout was undone".to_owned())
}

/// Ours has redeemed its token and does not have the answer yet.
fn begin_refresh(login: &SharedLogin, contender: &mut Contender) {
    login.realm().run("kill_access", &json!({}));
    login.realm().run("hold", &json!({"at": "reply"}));
    contender.go();
    drop(login.realm().wait(&json!({"held": 1})));
}
