//! What the library says meanwhile, on stderr: warnings always, its steps where they are asked for.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::Notify;
use tracing::Level;

use super::console;
use super::printer::Printer;
use crate::bindings::{LogRecord, LogRecords};

/// The least important level that is shown, by how often that was asked for.
const LEVELS: [Level; 4] = [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// The records of this process.
#[derive(Debug)]
pub(super) struct Log {
    records: LogRecords,
    woken: Arc<Notify>,
    printer: Printer,
}

impl Log {
    /// Collects what the library says from now on. Each step of `verbosity` adds a level.
    pub(super) fn start(verbosity: u8) -> Self {
        let woken = Arc::new(Notify::new());
        let wake = Arc::clone(&woken);
        let least = LEVELS[usize::from(verbosity).min(LEVELS.len() - 1)];
        let records = LogRecords::start_up_to(least, move || wake.notify_one());
        Self { records, woken, printer: Printer::new(|line| console::tell(line)) }
    }

    /// Shows what the library says while `work` is done.
    pub(super) async fn shown_while<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.woken.notified() => self.show(),
                output = &mut work => {
                    self.show();
                    self.printer.finish().await;
                    return output;
                }
            }
        }
    }

    fn show(&self) {
        while let Some(record) = self.records.take() {
            self.printer.print(line_of(&record));
        }
    }
}

fn line_of(record: &LogRecord) -> String {
    let mut line = record.message.clone();
    let fields = record.fields.iter().map(|(name, value)| format!("{name}: {value}"));
    let duration = record.duration.map(|duration| format!("{duration:.1?}"));
    let more: Vec<_> = fields.chain(duration).collect();
    if !more.is_empty() {
        line = format!("{line} ({})", more.join(", "));
    }
    match record.level {
        "error" | "warn" => console::warning(&line),
        level => format!("{level}: {}", console::printable(&line)),
    }
}
