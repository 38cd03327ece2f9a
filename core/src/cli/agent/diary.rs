//! What the agent prints: a line for each thing that happens. Its clients need it, and not its output,
//! which may be closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use crate::cli::printer::Printer;
use crate::cli::{console, moment};
use crate::{Event, Events};

/// How often an equal failure is printed, at most: a flood of them must not drown what else is said.
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Diary {
    printer: Printer,
    failures: Mutex<BTreeMap<String, Failure>>,
}

/// A failure that was printed.
#[derive(Debug)]
struct Failure {
    at: Instant,
    /// How often it came since, and was not.
    left_out: u64,
}

impl Diary {
    pub(super) fn new() -> Self {
        Self::on(Printer::new(|line| console::print(line).unwrap_or_default()))
    }

    fn on(printer: Printer) -> Self {
        Self { printer, failures: Mutex::default() }
    }

    /// Prints a line for each event of the login `name`, or of the only one.
    pub(super) async fn follow(self: Arc<Self>, name: Option<String>, mut events: Events) {
        while let Some(event) = events.next().await {
            self.tell(name.as_deref(), &event);
        }
    }

    fn tell(&self, name: Option<&str>, event: &Event) {
        match event {
            Event::RefreshFailed(error) | Event::SaveFailed(error) => {
                let error = console::printable(&error.to_string());
                self.complain(&about(name, &format!("{}: {error}", event.kind())));
            }
            event => self.say(&about(name, event.kind())),
        }
    }

    /// Prints a failure, unless an equal one was printed just now.
    fn complain(&self, failure: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = match failures.get_mut(failure) {
            Some(known) if known.at.elapsed() < AGAIN => return known.left_out += 1,
            known => known.map_or(0, |known| known.left_out),
        };
        failures.retain(|_, known| known.at.elapsed() < AGAIN);
        failures.insert(failure.to_owned(), Failure { at: Instant::now(), left_out: 0 });
        match left_out {
            0 => self.say(failure),
            times => self.say(&format!("{failure} (and {times} times since the last such line)")),
        }
    }

    pub(super) fn say(&self, what: &str) {
        self.printer.print(format!("{} {what}", moment::exact(Utc::now())));
    }
}

/// Returns `what`, after the name of the login that it is about.
pub(super) fn about(name: Option<&str>, what: &str) -> String {
    name.map_or_else(|| what.to_owned(), |name| format!("{name}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};

    #[tokio::test(start_paused = true)]
    async fn an_equal_failure_is_printed_once_a_minute() {
        let printed = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&printed);
        let print = move |line: &str| lines.lock().expect("no panic").push(line.to_owned());
        let diary = Diary::on(Printer::new(print));
        let failed =
            |message: &str| Event::RefreshFailed(Error::new(ErrorKind::RefreshTransient, message));
        for _ in 0..1000 {
            diary.tell(None, &failed("away"));
        }
        diary.tell(None, &failed("refused"));
        diary.tell(Some("work"), &failed("away"));
        tokio::time::advance(AGAIN).await;
        for _ in 0..3 {
            diary.tell(None, &failed("away"));
        }
        tokio::time::advance(AGAIN).await;
        diary.tell(None, &failed("away"));
        tokio::time::resume();
        diary.printer.finish().await;
        let printed = printed.lock().expect("no panic");
        let said = printed.iter().filter_map(|line| line.split_once("Z ").map(|(_, said)| said));
        let again =
            |times| format!("refresh_failed: away (and {times} times since the last such line)");
        let (many, few) = (again(999), again(2));
        let expected = [
            "refresh_failed: away",
            "refresh_failed: refused",
            "work: refresh_failed: away",
            &many,
            &few,
        ];
        assert_eq!(said.collect::<Vec<_>>(), expected);
        assert_eq!(diary.failures.lock().expect("no panic").len(), 1, "others are forgotten");
    }
}
