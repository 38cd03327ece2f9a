//! How long calls take, under a paused clock.

use std::sync::Mutex;
use std::time::Duration;

/// How long something takes before and after it happens.
#[derive(Debug, Default)]
pub(crate) struct Delays(Mutex<[Duration; 2]>);

impl Delays {
    pub(crate) fn set(&self, before: Duration, after: Duration) {
        *self.0.lock().expect("no panic") = [before, after];
    }

    pub(crate) async fn wait(&self, part: usize) {
        let delay = self.0.lock().expect("no panic")[part];
        tokio::time::sleep(delay).await;
    }
}
