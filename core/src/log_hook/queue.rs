//! The records that wait for a reader.

use std::collections::VecDeque;
use std::mem;

use super::record::{CRATE, LogRecord};

/// The most records that wait. Then the oldest is dropped.
const LONGEST_QUEUE: usize = 1024;

/// The records of one process, for one reader.
#[derive(Debug, Default)]
pub(super) struct Queue {
    records: VecDeque<LogRecord>,
    missed: u64,
    /// Whether the reader was woken, and has not emptied the queue since.
    is_awake: bool,
}

impl Queue {
    /// Adds `record`. Returns whether the reader must be woken.
    pub(super) fn add(&mut self, record: LogRecord) -> bool {
        if self.records.len() == LONGEST_QUEUE {
            self.records.pop_front();
            self.missed += 1;
        }
        self.records.push_back(record);
        !mem::replace(&mut self.is_awake, true)
    }

    /// Removes the oldest record and returns it.
    pub(super) fn take(&mut self) -> Option<LogRecord> {
        match mem::take(&mut self.missed) {
            0 => {
                let record = self.records.pop_front();
                self.is_awake = record.is_some();
                record
            }
            missed => Some(LogRecord {
                level: "warn",
                target: CRATE,
                message: "log records are missing".to_owned(),
                fields: vec![("missed", missed.to_string())],
                duration: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: usize) -> LogRecord {
        let (message, fields) = (number.to_string(), Vec::new());
        LogRecord { level: "info", target: CRATE, message, fields, duration: None }
    }

    #[test]
    fn a_reader_is_woken_once_until_it_has_found_the_end() {
        let mut queue = Queue::default();
        assert!(queue.add(numbered(0)));
        assert!(!queue.add(numbered(1)));
        assert!(queue.take().is_some() && !queue.add(numbered(2)));
        assert!(queue.take().is_some() && queue.take().is_some() && !queue.add(numbered(3)));
        assert!(queue.take().is_some() && queue.take().is_none());
        assert!(queue.add(numbered(4)));
    }

    #[test]
    fn a_late_reader_is_told_how_many_records_are_missing() {
        let mut queue = Queue::default();
        for number in 0..LONGEST_QUEUE + 3 {
            queue.add(numbered(number));
        }
        let first = queue.take().expect("a record");
        assert_eq!((first.level, first.fields), ("warn", vec![("missed", "3".to_owned())]));
        let rest: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!((rest.len(), rest[0].message.as_str()), (LONGEST_QUEUE, "3"));
    }
}
