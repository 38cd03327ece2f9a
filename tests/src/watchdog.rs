//! A test that hangs must fail.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// Far more than any test takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Ends this process, loudly, unless it is dropped in time.
#[derive(Debug)]
#[must_use]
pub struct Watchdog(#[expect(dead_code, reason = "dropping it calls off the dog")] Sender<()>);

impl Watchdog {
    /// Watches over `what`.
    pub fn over(what: &'static str) -> Self {
        let (sender, receiver) = mpsc::channel();
        drop(std::thread::spawn(move || {
            if receiver.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                bite(what);
            }
        }));
        Self(sender)
    }
}

#[expect(clippy::print_stderr, reason = "the last words")]
fn bite(what: &str) -> ! {
    eprintln!("{what} hangs: no end within {LIMIT:?}");
    std::process::abort();
}
