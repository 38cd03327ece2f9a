//! Delivers what this crate traces as plain records, for the bindings: their users have no
//! subscriber of `tracing`.
//!
//! A forked child must not wait for a lock that a thread of its parent held. So this crate has its
//! own subscriber, whose queues and spans belong to one process.

mod queue;
mod record;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Event, Level, Metadata, Subscriber};

use self::queue::Queue;
pub use self::record::LogRecord;
use self::record::{CRATE, Fields};
use crate::process::PerProcess;

/// A collection of the records of this crate in this process, for one reader. It runs until it is
/// stopped or dropped.
///
/// If the program already has a global subscriber of `tracing`, no record is collected. At most
/// 1024 records wait. Then the oldest are dropped, and a record says how many.
pub struct LogRecords(Arc<Reader>);

impl LogRecords {
    /// Starts to collect records. `wake` is called when there is a record to [`take`](Self::take),
    /// and not again until `take` has returned none. It runs on the thread that traces and must not
    /// block it. In a forked child it is called for the records of the child.
    pub fn start(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self::start_up_to(Level::TRACE, wake)
    }

    /// Starts to collect records as [`start`](Self::start) does, without those that are less important
    /// than `least`.
    pub fn start_up_to(least: Level, wake: impl Fn() + Send + Sync + 'static) -> Self {
        // This fails if a subscriber is installed already, this one or another.
        drop(set_global_default(Hook));
        let reader = Arc::new(Reader { least, queue: PerProcess::new(), wake: Box::new(wake) });
        change_readers(|readers| readers.push(Arc::clone(&reader)));
        Self(reader)
    }

    /// Removes the oldest record that waits and returns it; none if no record waits.
    pub fn take(&self) -> Option<LogRecord> {
        self.0.queue.get().and_then(|queue| lock(&queue).take())
    }

    /// Stops the collection, as dropping this does. The records that wait can still be taken.
    pub fn stop(&self) {
        change_readers(|readers| readers.retain(|reader| !Arc::ptr_eq(reader, &self.0)));
    }
}

impl fmt::Debug for LogRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRecords").finish_non_exhaustive()
    }
}

impl Drop for LogRecords {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The readers; none if there are no readers.
static READERS: ArcSwapOption<Vec<Arc<Reader>>> = ArcSwapOption::const_empty();

struct Reader {
    /// The least important level that it wants.
    least: Level,
    queue: PerProcess<Mutex<Queue>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

fn change_readers(change: impl Fn(&mut Vec<Arc<Reader>>)) {
    READERS.rcu(|readers| {
        let mut readers = readers.as_deref().cloned().unwrap_or_default();
        change(&mut readers);
        (!readers.is_empty()).then(|| Arc::new(readers))
    });
}

fn deliver(record: &LogRecord, level: Level) {
    let Some(readers) = READERS.load_full() else { return };
    for reader in readers.iter().filter(|reader| level <= reader.least) {
        let is_to_wake = lock(&reader.queue.get_or_default()).add(record.clone());
        if is_to_wake {
            (reader.wake)();
        }
    }
}

/// The subscriber that `tracing` calls, once a reader has asked for records.
struct Hook;

/// A span that has not ended yet.
struct OpenSpan {
    handles: usize,
    level: Level,
    since: Instant,
    record: LogRecord,
}

static SPANS: PerProcess<Mutex<HashMap<u64, OpenSpan>>> = PerProcess::new();

/// A forked child counts on from here, so that its ids are not those of its parent's spans.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

fn with_span<T>(id: &Id, work: impl FnOnce(&mut OpenSpan) -> T) -> Option<T> {
    lock(&SPANS.get_or_default()).get_mut(&id.into_u64()).map(work)
}

impl Subscriber for Hook {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let readers = READERS.load();
        let mut readers = readers.iter().flat_map(|readers| readers.iter());
        is_ours(metadata) && readers.any(|reader| *metadata.level() <= reader.least)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut record = LogRecord::new(span.metadata());
        span.metadata().name().clone_into(&mut record.message);
        span.record(&mut Fields(&mut record));
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed) + 1;
        let level = *span.metadata().level();
        let open = OpenSpan { handles: 1, level, since: Instant::now(), record };
        lock(&SPANS.get_or_default()).insert(id, open);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        with_span(id, |span| values.record(&mut Fields(&mut span.record)));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut record = LogRecord::new(event.metadata());
        event.record(&mut Fields(&mut record));
        deliver(&record, *event.metadata().level());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn clone_span(&self, id: &Id) -> Id {
        with_span(id, |span| span.handles += 1);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let is_over = with_span(&id, |span| {
            span.handles -= 1;
            span.handles == 0
        });
        if is_over != Some(true) {
            return false;
        }
        let span = lock(&SPANS.get_or_default()).remove(&id.into_u64());
        if let Some(OpenSpan { level, since, mut record, .. }) = span {
            record.duration = Some(since.elapsed());
            deliver(&record, level);
        }
        true
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let rest = metadata.target().strip_prefix(CRATE);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tracing::field::Empty;
    use tracing::info_span;

    use super::*;

    /// Takes the records of this test: other tests of this process trace too.
    fn take_own(records: &LogRecords) -> Vec<LogRecord> {
        let taken = std::iter::from_fn(|| records.take());
        taken.filter(|record| record.target == "codex_auth_sdk::a_test").collect()
    }

    #[test]
    fn events_and_spans_that_are_over_come_as_records_until_they_are_stopped() {
        let (sender, woken) = mpsc::channel();
        let records = LogRecords::start(move || sender.send(()).unwrap_or_default());
        let span =
            info_span!(target: "codex_auth_sdk::a_test", "work", number = 7, outcome = Empty);
        let clone = span.clone();
        drop(span);
        tracing::error!(target: "codex_auth_sdk::a_test", reason = "broken", "it {}", "failed");
        tracing::error!(target: "codex_auth_sdk_of_others", "from another crate");
        clone.record("outcome", "done");
        drop(clone);
        woken.recv().expect("woken");
        let own = take_own(&records);
        let expected = LogRecord {
            level: "error",
            target: "codex_auth_sdk::a_test",
            message: "it failed".to_owned(),
            fields: vec![("reason", "broken".to_owned())],
            duration: None,
        };
        assert_eq!(own[0], expected, "while a handle of the span is left");
        assert_eq!((own[1].level, own[1].message.as_str()), ("info", "work"));
        let fields = vec![("number", "7".to_owned()), ("outcome", "done".to_owned())];
        assert_eq!((&own[1].fields, own[1].duration.is_some()), (&fields, true));
        assert_eq!(own.len(), 2);
        records.stop();
        tracing::error!(target: "codex_auth_sdk::a_test", "it is over");
        assert_eq!(take_own(&records), []);
    }

    #[test]
    fn a_reader_gets_no_levels_that_it_has_not_asked_for() {
        let records = LogRecords::start_up_to(Level::WARN, || ());
        let target = "codex_auth_sdk::another_test";
        drop(info_span!(target: "codex_auth_sdk::another_test", "work"));
        tracing::info!(target: "codex_auth_sdk::another_test", "a step");
        tracing::warn!(target: "codex_auth_sdk::another_test", "a warning");
        let taken = std::iter::from_fn(|| records.take());
        let own = taken.filter(|record| record.target == target);
        assert_eq!(own.map(|record| record.message).collect::<Vec<_>>(), ["a warning"]);
    }
}
