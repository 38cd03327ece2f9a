//! Lines that are printed by a thread of their own: an output that takes none, as a pipe that no program
//! reads, holds up nothing else. One that is closed loses them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use crate::process::Lane;

/// The most lines that wait. More are left out, which is said once there is room.
const MOST: usize = 1024;

/// How long the last lines are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// An output, and the lines that it is to get.
pub(super) struct Printer {
    lane: Lane,
    lines: Arc<Lines>,
}

struct Lines {
    print: Box<dyn Fn(&str) + Send + Sync>,
    waiting: AtomicUsize,
    left_out: AtomicUsize,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer").finish_non_exhaustive()
    }
}

impl Printer {
    /// `print` prints a line, however long that takes.
    pub(super) fn new(print: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let (waiting, left_out) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let lines = Lines { print: Box::new(print), waiting, left_out };
        Self { lane: Lane::new(), lines: Arc::new(lines) }
    }

    /// Has `line` printed after all earlier ones.
    pub(super) fn print(&self, line: String) {
        if self.lines.waiting.fetch_add(1, Ordering::SeqCst) >= MOST {
            self.lines.waiting.fetch_sub(1, Ordering::SeqCst);
            self.lines.left_out.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let lines = Arc::clone(&self.lines);
        // Without a thread there is no way to print it.
        self.lane.start(move || lines.print(&line)).unwrap_or_default();
    }

    /// Waits until all lines are printed, for as long as that is worth.
    pub(super) async fn finish(&self) {
        if self.lines.waiting.load(Ordering::SeqCst) > 0 {
            drop(timeout(PATIENCE, self.lane.run(|| ())).await);
        }
    }
}

impl Lines {
    fn print(&self, line: &str) {
        (self.print)(line);
        let left_out = self.left_out.swap(0, Ordering::SeqCst);
        if left_out > 0 {
            (self.print)(&format!("{left_out} lines were left out here: nothing took them"));
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    #[tokio::test]
    async fn an_output_that_takes_no_line_holds_up_no_caller_and_is_told_what_is_left_out() {
        let (release, released) = mpsc::channel::<()>();
        let (released, printed) = (Mutex::new(released), Arc::new(Mutex::new(Vec::new())));
        let lines = Arc::clone(&printed);
        let printer = Printer::new(move |line| {
            released.lock().expect("no panic").recv().unwrap_or_default();
            lines.lock().expect("no panic").push(line.to_owned());
        });
        for number in 0..MOST + 7 {
            printer.print(number.to_string());
        }
        tokio::time::pause();
        printer.finish().await;
        tokio::time::resume();
        assert!(printed.lock().expect("no panic").is_empty());
        drop(release);
        printer.finish().await;
        let printed = printed.lock().expect("no panic");
        assert_eq!(printed.len(), MOST + 1);
        assert!(printed[0] == "0" && printed[1].starts_with("7 lines"), "{:?}", &printed[..2]);
        assert_eq!(printed[MOST], (MOST - 1).to_string());
    }
}
