//! What is not as it should be, each with what to do about it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::codex_cli::is_too_old;
use super::server::Server;
use super::waiting::Waiting;
use crate::cli::failure::{Exit, exit_for};
use crate::cli::moment;
use crate::description::{LoginDescription, Place, StorePlaces, TokenState};
use crate::{Description, Error};

const SIGN_IN: &str = "sign in: codex-auth-sdk login";

/// Why a token may be spent although no program that this home knows of has presented it.
const REUSED: &str = ": another program has used it, perhaps one with a copy of this login in another \
                      home";

/// Something that is not as it should be.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    /// Its name, for programs.
    pub(super) code: &'static str,
    pub(super) what: String,
    /// What to do about it; none if `what` says so.
    pub(super) fix: Option<String>,
    /// Whether the login still works.
    pub(super) is_harmless: bool,
    #[serde(skip)]
    exit: Exit,
}

impl Problem {
    fn new(code: &'static str, exit: Exit, what: String, fix: impl Into<String>) -> Self {
        Self { code, what, fix: Some(fix.into()), is_harmless: exit == Exit::Done, exit }
    }

    /// Returns that a copy of the login is in another home, in the file at `path`.
    pub(super) fn of_copy(path: &str) -> Self {
        let what = format!(
            "a copy of this login is in {path}: a program that refreshes one of them ends the other"
        );
        let fix = "sign in there on its own, or have all programs use one home";
        Self::new("login_copied", Exit::Failed, what, fix)
    }

    /// Returns that a login waits beside the store.
    pub(super) fn of_waiting(Waiting { place, from }: Waiting) -> Self {
        let from = from.unwrap_or_else(|| "another store".to_owned());
        let what = format!("a login waits in {place}: its move from {from} was interrupted");
        let fix = "complete the move, by running it again: codex-auth-sdk move";
        Self::new("move_interrupted", Exit::Failed, what, fix)
    }

    /// Returns the exit code that tells of the worst of `problems`.
    pub(super) fn exit_for(problems: &[Self]) -> Exit {
        let worst = [Exit::SignInNeeded, Exit::Failed, Exit::TryAgainLater];
        let is_there = |exit: &Exit| problems.iter().any(|problem| problem.exit == *exit);
        worst.into_iter().find(is_there).unwrap_or(Exit::Done)
    }
}

/// Returns all that is known not to be as it should be. `unread` is why the login could not be read.
pub(super) fn all(
    description: &Description,
    unread: Option<&Error>,
    codex_cli: Option<&str>,
    server: Option<&Server>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let now = description.described_at;
    match (unread, &description.login) {
        (Some(error), _) => problems.push(of_error(error)),
        (None, None) => {
            let what = "no login is stored that this command may use".to_owned();
            problems.push(Problem::new("login_required", Exit::SignInNeeded, what, SIGN_IN));
        }
        (None, Some(login)) => problems.extend(of_login(login, now)),
    }
    problems.extend(of_places(&description.places, description.store.holder));
    if let Some(reason) = &description.store.holder_reason {
        let what = format!("the login is not in the preferred store, since {reason}");
        let fix = "nothing, if that is meant to be so";
        problems.push(Problem::new("store_not_preferred", Exit::Done, what, fix));
    }
    let measured = server.and_then(|server| server.clock_ahead_seconds);
    problems.extend(of_clock(measured.or(description.clock_ahead_seconds)));
    if let Some(error) = server.and_then(|server| server.error.as_ref()) {
        let fix = "check the network, the proxy (HTTPS_PROXY, NO_PROXY), and for a private authority \
                   CODEX_CA_CERTIFICATE";
        let what = format!("the token endpoint cannot be reached: {error}");
        problems.push(Problem::new("server_unreachable", Exit::TryAgainLater, what, fix));
    }
    if let Some(version) = codex_cli.filter(|version| is_too_old(version)) {
        let what = format!(
            "the Codex CLI {version} takes no lock when it saves, so it may undo the refresh of \
             another program"
        );
        let fix = "update it to 0.169 or later";
        problems.push(Problem::new("codex_cli_too_old", Exit::Failed, what, fix));
    }
    problems
}

/// Returns that the login cannot be read. The text of the error says what to do.
fn of_error(error: &Error) -> Problem {
    let exit = exit_for(error.kind());
    Problem { code: error.code(), what: error.to_string(), fix: None, is_harmless: false, exit }
}

fn of_login(login: &LoginDescription, now: DateTime<Utc>) -> Option<Problem> {
    let still_works = login.expires_at.filter(|_| !login.is_expired).map(|end| {
        format!("; the access token still works, and ends {}", moment::relative(end, now))
    });
    let still_works = still_works.unwrap_or_default();
    let Some(ledger) = &login.ledger else {
        let what = "the access token has ended, and the program that renews this login has not done \
                    so";
        let fix = "start that program, or export the login again";
        return login.is_expired.then(|| {
            Problem::new("access_token_expired", Exit::TryAgainLater, what.to_owned(), fix)
        });
    };
    match ledger.state {
        TokenState::Good => None,
        TokenState::Refused => {
            let reason = ledger.refused.unwrap_or("no reason is known");
            let copied = if reason == "reused" { REUSED } else { "" };
            let what =
                format!("the server refuses the refresh token ({reason}){copied}{still_works}");
            Some(Problem::new("refresh_token_refused", Exit::SignInNeeded, what, SIGN_IN))
        }
        TokenState::Spent => {
            let what = format!(
                "the stored refresh token is spent: another program has put an old copy of the login \
                 back{still_works}"
            );
            let fix = "if a program that had the newer login still runs, it stores that again at its \
                       next refresh; otherwise sign in: codex-auth-sdk login";
            Some(Problem::new("refresh_token_spent", Exit::SignInNeeded, what, fix))
        }
        TokenState::InDoubt => {
            let what = "a request with the refresh token was never answered".to_owned();
            let fix = "nothing: the next refresh shows whether the token is spent";
            Some(Problem::new("refresh_token_in_doubt", Exit::Done, what, fix))
        }
        TokenState::Resting => {
            let until = ledger.not_before.map(|until| moment::relative(until, now));
            let until = until.unwrap_or_else(|| "later".to_owned());
            let what =
                format!("the last refresh has failed, and is not tried again before {until}");
            let fix = "wait; the log of the program that has tried says why (here: -v refresh)";
            Some(Problem::new("refresh_rests", Exit::TryAgainLater, what + &still_works, fix))
        }
    }
}

fn of_places(places: &StorePlaces, holder: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in [&places.auth_json, &places.encrypted_file].into_iter().flatten() {
        if may_others(file, 0o006) {
            let path = &file.resolved;
            let what = format!("every user of this machine may read {path}");
            let fix = format!("chmod o= {path}");
            problems.push(Problem::new("file_not_private", Exit::Failed, what, fix));
        }
        if file.is_mount_point && was_replaced(file) {
            let what = format!(
                "{} is a mounted file that was replaced where it was mounted from, so it stays old",
                file.path
            );
            let fix = "mount its folder instead, and start the container again";
            problems.push(Problem::new("mount_replaced", Exit::Failed, what, fix));
        }
    }
    if let Some(home) = places.home.as_ref().filter(|home| may_others(home, 0o002)) {
        let what = format!("every user of this machine may write to {}", home.path);
        let fix = format!("chmod o-w {}", home.path);
        problems.push(Problem::new("folder_not_private", Exit::Failed, what, fix));
    }
    if let Some(problem) = places.keyring.as_ref().and_then(|keyring| keyring.problem.as_ref()) {
        let is_needed = holder != Some("file");
        let exit = if is_needed { Exit::TryAgainLater } else { Exit::Done };
        let what = format!("the keyring does not answer: {problem}");
        let fix = "unlock it, or start it, in the desktop session of this user";
        problems.push(Problem::new("keyring_unavailable", exit, what, fix));
    }
    if let Some(problem) = &places.problem {
        let what = format!("the store cannot be looked at: {problem}");
        let fix = "see to what that names";
        problems.push(Problem::new("store_not_described", Exit::Failed, what, fix));
    }
    problems
}

fn of_clock(ahead: Option<i64>) -> Option<Problem> {
    let ahead = TimeDelta::try_seconds(ahead?).filter(|ahead| !ahead.is_zero())?;
    let direction = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    let length = moment::length(ahead.abs());
    let what = format!("the clock of this machine is {length} {direction} the server's");
    let fix = "set it, for instance: timedatectl set-ntp true";
    Some(Problem::new("clock_wrong", Exit::Failed, what, fix))
}

/// Returns whether users other than the owner and the group have some of the permissions `bits`.
fn may_others(place: &Place, bits: u32) -> bool {
    let mode = place.mode.as_ref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
    mode.is_some_and(|mode| mode & bits != 0)
}

/// Returns whether the file has no name any more where it was mounted from.
#[cfg(unix)]
fn was_replaced(file: &Place) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(&file.path).is_ok_and(|file| file.nlink() == 0)
}

#[cfg(not(unix))]
fn was_replaced(_file: &Place) -> bool {
    false
}
