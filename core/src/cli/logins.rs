//! `logins`: the logins of a database.

use std::fmt;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::arguments::Logins;
use super::failure::{Details, Result};
use super::{console, moment};
use crate::environment::Environment;
use crate::storage::{PostgresLogins, StoredLogin};
use crate::{CodexAuth, Secret};

/// A login in a line, without its tokens and without the email address.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    login: Option<Whose<'a>>,
    /// The place that it is being moved from, if it waits for its move.
    moved_from: Option<String>,
    /// Why it cannot be read.
    error: Option<Details>,
    changed_at: DateTime<Utc>,
    is_claimed: bool,
}

/// Whose a login is, and until when its access token works.
#[derive(Serialize)]
struct Whose<'a> {
    mode: &'static str,
    user_id: Option<&'a str>,
    account_id: Option<&'a str>,
    plan_type: Option<&'a str>,
    expires_at: Option<DateTime<Utc>>,
}

pub(super) async fn list(arguments: &Logins) -> Result {
    let url = Secret::new(arguments.url.as_str());
    let logins = PostgresLogins::at(&url, Environment::default())?;
    // Each name is longer than this.
    let mut last = String::new();
    loop {
        let page = logins.after(&last).await?;
        let Some(end) = page.last() else { return Ok(()) };
        last.clone_from(&end.name);
        for login in &page {
            print(login, arguments)?;
        }
    }
}

fn print(login: &StoredLogin, arguments: &Logins) -> io::Result<()> {
    let record = login.record.as_ref().ok();
    let auth = record.and_then(|record| CodexAuth::received(Arc::clone(record), &"".into()));
    let line = Line {
        name: &login.name,
        login: auth.as_ref().map(Whose::of),
        moved_from: record.and_then(|record| record.parking_mark()).map(|mark| mark.from),
        error: login.record.as_ref().err().map(Details::from),
        changed_at: login.changed_at,
        is_claimed: login.is_claimed,
    };
    if arguments.json { console::print_json(&line) } else { console::print(&line) }
}

impl<'a> Whose<'a> {
    fn of(auth: &'a CodexAuth) -> Self {
        Self {
            mode: auth.mode().as_str(),
            user_id: auth.user_id(),
            account_id: auth.account_id(),
            plan_type: auth.plan_type(),
            expires_at: auth.expires_at(),
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = Utc::now();
        // Quoted, since a name is any text and may look like the rest of the line.
        write!(f, "{:?}: ", self.name)?;
        match (&self.login, &self.moved_from, &self.error) {
            (_, _, Some(error)) => write!(f, "cannot be read: {error}")?,
            (Some(login), _, None) => login.write(f, now)?,
            (None, Some(from), None) => {
                write!(f, "a login that waits for its move from {}", console::printable(from))?;
            }
            (None, None, None) => f.write_str("no login")?,
        }
        write!(f, "; stored {}", moment::relative(self.changed_at, now))?;
        if self.is_claimed { f.write_str("; claimed for a refresh") } else { Ok(()) }
    }
}

impl Whose<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>, now: DateTime<Utc>) -> fmt::Result {
        write!(f, "mode {}", self.mode)?;
        let named =
            [("user", self.user_id), ("workspace", self.account_id), ("plan", self.plan_type)];
        for (what, name) in named {
            if let Some(name) = name {
                write!(f, ", {what} {}", console::printable(name))?;
            }
        }
        match self.expires_at {
            Some(end) => write!(f, "; the access token ends {}", moment::relative(end, now)),
            None => Ok(()),
        }
    }
}
