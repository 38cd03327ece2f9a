//! Calls that block, on a thread of their own and one after the other: what never returns costs one
//! thread, however often it is asked again.

use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use super::per_process::PerProcess;

type Call = Box<dyn FnOnce() + Send>;

/// One thread, which is started by the first call of a process and ends with this. However many
/// calls wait, it is one.
#[derive(Debug, Default)]
pub struct Lane(PerProcess<mpsc::Sender<Call>>);

impl Lane {
    /// A lane without a thread.
    pub const fn new() -> Self {
        Self(PerProcess::new())
    }

    /// What `call` comes to, after all earlier ones. One that no caller waits for when its turn
    /// comes is not made.
    ///
    /// # Errors
    ///
    /// Where there is no thread for it.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (sender, answer) = oneshot::channel();
        self.start(move || {
            if !sender.is_closed() {
                drop(sender.send(call()));
            }
        })?;
        answer.await.map_err(|_| ended())
    }

    /// Has `call` made after all earlier ones.
    ///
    /// # Errors
    ///
    /// Where there is no thread for it.
    pub fn start(&self, call: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = self.0.get_or_try_make(start_thread)?;
        // A thread that a call has ended, by a panic, makes room for another.
        thread.send(Box::new(call)).map_err(|_| {
            self.0.clear();
            ended()
        })
    }
}

fn start_thread() -> io::Result<mpsc::Sender<Call>> {
    let (sender, calls) = mpsc::channel::<Call>();
    thread::Builder::new().name("codex-auth-sdk-calls".to_owned()).spawn(move || {
        for call in calls {
            call();
        }
    })?;
    Ok(sender)
}

fn ended() -> io::Error {
    io::Error::other("the thread that waits for the system has ended")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_call_that_never_returns_costs_one_thread_and_what_is_given_up_is_not_made() {
        let lane = Arc::new(Lane::default());
        let (release, released) = mpsc::channel::<()>();
        let (made, calls) = mpsc::channel();
        let call = |wait: Option<mpsc::Receiver<()>>| {
            let (made, lane) = (made.clone(), Arc::clone(&lane));
            async move {
                lane.run(move || {
                    made.send(thread::current().id()).expect("a receiver");
                    if let Some(wait) = wait {
                        wait.recv().unwrap_or_default();
                    }
                })
                .await
            }
        };
        let mut stuck = Box::pin(call(Some(released)));
        let patience = Duration::from_millis(20);
        assert!(tokio::time::timeout(patience, &mut stuck).await.is_err());
        let thread = calls.recv().expect("begun");
        for _ in 0..3 {
            assert!(tokio::time::timeout(Duration::ZERO, call(None)).await.is_err());
        }
        release.send(()).expect("it waits");
        stuck.await.expect("an answer");
        call(None).await.expect("an answer");
        assert_eq!(calls.try_iter().collect::<Vec<_>>(), [thread], "one call, on the one thread");
    }

    #[tokio::test]
    async fn a_call_that_panics_takes_no_later_one_along() {
        let lane = Lane::new();
        lane.run(|| panic!("on purpose")).await.expect_err("no answer");
        // One call may still come to the thread that ends, and one notices that it has ended.
        let mut failed = 0;
        while lane.run(|| ()).await.is_err() {
            failed += 1;
            assert!(failed <= 2, "it has another thread");
        }
    }
}
