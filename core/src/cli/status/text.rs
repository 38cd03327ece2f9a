//! The report as text for people.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Utc};

use super::report::Report;
use super::server::Server;
use crate::cli::console::printable;
use crate::cli::moment;
use crate::description::{LockPurpose, LoginDescription, StorePlaces, TokenState};

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default().bold();

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { description, codex_cli, server, problems, email } = self;
        match &description.login {
            Some(login) => {
                let user = email.as_ref().or(login.user_id.as_ref());
                heading(f, "Login", user.map_or(login.mode, String::as_str))?;
                write_login(f, login, description.described_at)?;
            }
            None => heading(f, "Login", "none")?,
        }
        let (kind, by) = (description.store.kind, &description.store.chosen_by);
        heading(f, "Store", &format!("{kind}, {by}"))?;
        line(f, "place", &description.store.location)?;
        if let Some(holder) = description.store.holder {
            line(f, "held by", holder)?;
        }
        write_places(f, &description.places)?;
        if let Some(version) = codex_cli {
            heading(f, "Codex CLI", version)?;
        }
        if let Some(server) = server {
            heading(f, "Server", if server.error.is_none() { "answers" } else { "no answer" })?;
            write_clock(f, server)?;
        }
        for problem in problems {
            let (style, mark) = if problem.is_harmless { (NOTE, "Note") } else { (BAD, "Problem") };
            write!(f, "{style}{mark}:{style:#} {}", printable(&problem.what))?;
            match &problem.fix {
                Some(fix) => writeln!(f, "\n  {:<15}{}", "what to do", printable(fix))?,
                None => writeln!(f)?,
            }
        }
        if problems.iter().all(|problem| problem.is_harmless) {
            write!(f, "{GOOD}The login works.{GOOD:#}")
        } else {
            write!(f, "{BAD}Something is not as it should be.{BAD:#}")
        }
    }
}

fn heading(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "{HEADING}{name}:{HEADING:#} {}", printable(value))
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {name:<15}{}", printable(value))
}

fn write_login(
    f: &mut fmt::Formatter<'_>,
    login: &LoginDescription,
    now: DateTime<Utc>,
) -> fmt::Result {
    let named = [
        ("mode", Some(login.mode)),
        ("user", login.user_id.as_deref()),
        ("workspace", login.account_id.as_deref()),
        ("plan", login.plan_type.as_deref()),
    ];
    for (name, value) in named {
        value.map_or(Ok(()), |value| line(f, name, value))?;
    }
    if let Some(end) = login.expires_at {
        let is_over = if login.is_expired { "ended" } else { "ends" };
        line(f, "access token", &format!("{is_over} {}", moment::relative(end, now)))?;
    }
    if let Some(due) = login.due_at {
        line(f, "refreshed from", &moment::relative(due, now))?;
    }
    if let Some(at) = login.last_refresh {
        line(f, "last refresh", &moment::relative(at, now))?;
    }
    let Some(ledger) = &login.ledger else { return Ok(()) };
    let by = ledger.refreshed_by.as_ref().map(ToString::to_string);
    line(f, "by", by.as_deref().unwrap_or("a program without this library, or a long time ago"))?;
    let state = match ledger.state {
        TokenState::Good => "nothing is known against it",
        TokenState::InDoubt => "in doubt",
        TokenState::Resting => "not presented for a while",
        TokenState::Spent => "spent",
        TokenState::Refused => "refused",
    };
    line(f, "refresh token", state)
}

fn write_places(f: &mut fmt::Formatter<'_>, places: &StorePlaces) -> fmt::Result {
    let files = [
        ("folder", &places.home),
        ("auth.json", &places.auth_json),
        ("encrypted file", &places.encrypted_file),
    ];
    for (name, place) in files {
        place.as_ref().map_or(Ok(()), |place| line(f, name, &place.to_string()))?;
    }
    if let Some(item) = &places.keyring {
        line(f, "keyring", &item.to_string())?;
    }
    let mut held = places.locks.iter().filter_map(|lock| Some((lock, lock.holder.as_ref()?)));
    held.try_for_each(|(lock, holder)| {
        let purpose = match lock.purpose {
            LockPurpose::Refresh => "for a refresh",
            LockPurpose::Save => "for a save",
        };
        line(f, "lock", &format!("{} is held by {holder}, {purpose}", lock.path))
    })
}

fn write_clock(f: &mut fmt::Formatter<'_>, server: &Server) -> fmt::Result {
    match server.clock_ahead_seconds {
        Some(0) => line(f, "clock", "right, within 30 s"),
        Some(_) => line(f, "clock", "wrong"),
        None => Ok(()),
    }
}
