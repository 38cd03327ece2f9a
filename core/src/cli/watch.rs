//! `watch`: prints what happens to the stored login. It changes nothing.

use std::fmt;
use std::io;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::arguments::Watch;
use super::failure::{Details, Result};
use super::summary::Summary;
use super::{console, moment};
use crate::storage::StoreHolder;
use crate::{AuthManager, AuthManagerBuilder, Event, RefreshMode};

/// An event, with the login as it is afterwards.
#[derive(Serialize)]
struct Line {
    at: DateTime<Utc>,
    event: &'static str,
    login: Option<Summary>,
    #[serde(flatten)]
    more: Option<More>,
}

/// What an event has to say besides.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum More {
    Error(Details),
    Missed(u64),
    Store { kind: &'static str, reason: Option<String> },
}

pub(super) async fn watch(builder: AuthManagerBuilder, arguments: &Watch) -> Result {
    let manager = builder.refresh(RefreshMode::Never).build().await?;
    let mut events = manager.subscribe();
    let _following = manager.follow_store();
    Line::now("watching", None, &manager).print(arguments)?;
    while let Some(event) = events.next().await {
        Line::now(event.kind(), More::of(&event), &manager).print(arguments)?;
    }
    Ok(())
}

impl Line {
    fn now(event: &'static str, more: Option<More>, manager: &AuthManager) -> Self {
        let login = manager.auth().as_ref().map(Summary::of);
        Self { at: Utc::now(), event, login, more }
    }

    fn print(&self, arguments: &Watch) -> io::Result<()> {
        if arguments.json { console::print_json(self) } else { console::print(self) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", moment::exact(self.at), self.event)?;
        match (&self.more, &self.login) {
            (Some(more), _) => more.fmt(f),
            (None, Some(login)) => login.fmt(f),
            (None, None) => f.write_str("no login"),
        }
    }
}

impl More {
    fn of(event: &Event) -> Option<Self> {
        match event {
            Event::RefreshFailed(error) | Event::SaveFailed(error) | Event::LoginFailed(error) => {
                Some(Self::Error(Details::from(error)))
            }
            Event::Missed(number) => Some(Self::Missed(*number)),
            Event::StoreChanged(StoreHolder { kind, reason }) => {
                Some(Self::Store { kind: kind.name(), reason: reason.clone() })
            }
            _ => None,
        }
    }
}

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(details) => details.fmt(f),
            Self::Missed(number) => write!(f, "{number} events came too fast"),
            Self::Store { kind, reason: None } => f.write_str(kind),
            Self::Store { kind, reason: Some(reason) } => {
                write!(f, "{kind}, since {}", console::printable(reason))
            }
        }
    }
}
