//! The connections of one listener: so many at most, and so many of one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::{AbortHandle, JoinSet};

/// The most connections at a time.
pub(super) const MOST: usize = 512;

/// The most connections of one process.
const MOST_OF_ONE: usize = 64;

/// The connections that are open, from the oldest.
#[derive(Debug, Default)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    process: Option<i32>,
    requests: Requests,
    task: AbortHandle,
}

/// How many requests of a connection are being answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<AtomicUsize>);

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Answering(Requests);

impl Requests {
    pub(super) fn begin(&self) -> Answering {
        self.0.fetch_add(1, Ordering::SeqCst);
        Answering(self.clone())
    }

    fn are_none(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Connections {
    /// Waits until a connection ends; for ever if there is none.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Serves one more connection, of `process` if the system tells. If there are too many, the
    /// oldest on which no request is being answered ends for it; if there is no such one, this one
    /// ends.
    pub(super) fn add<F>(&mut self, process: Option<i32>, serve: impl FnOnce(Requests) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.open.retain(|open| !open.task.is_finished());
        let of_one = |open: &Open| process.is_some() && open.process == process;
        let has_room = self.makes_room(MOST_OF_ONE, of_one) && self.makes_room(MOST, |_| true);
        if has_room {
            let requests = Requests::default();
            let task = self.tasks.spawn(serve(requests.clone()));
            self.open.push(Open { process, requests, task });
        }
    }

    /// Ends the oldest idle connection that `counts` if there are `most` of them. Returns whether
    /// there are fewer now.
    fn makes_room(&mut self, most: usize, counts: impl Fn(&Open) -> bool) -> bool {
        if self.open.iter().filter(|open| counts(open)).count() < most {
            return true;
        }
        let oldest = self.open.iter().position(|open| counts(open) && open.requests.are_none());
        let Some(oldest) = oldest else { return false };
        self.open.remove(oldest).task.abort();
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    /// Adds a connection that never ends by itself. Its receiver fails once it has ended.
    fn add(connections: &mut Connections, process: i32, is_busy: bool) -> oneshot::Receiver<()> {
        let (alive, end) = oneshot::channel();
        connections.add(Some(process), move |requests| async move {
            let _alive = alive;
            let _answering = is_busy.then(|| requests.begin());
            pending::<()>().await;
        });
        end
    }

    async fn has_ended(end: &mut oneshot::Receiver<()>) -> bool {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        end.try_recv() != Err(oneshot::error::TryRecvError::Empty)
    }

    #[tokio::test]
    async fn one_process_has_so_many_connections_and_its_oldest_idle_one_gives_way() {
        let mut connections = Connections::default();
        let mut other = add(&mut connections, 2, false);
        let mut busy = add(&mut connections, 1, true);
        // It begins.
        tokio::task::yield_now().await;
        let mut ends: Vec<_> = (0..MOST_OF_ONE).map(|_| add(&mut connections, 1, false)).collect();
        assert!(!has_ended(&mut other).await && !has_ended(&mut busy).await);
        assert!(has_ended(&mut ends[0]).await && !has_ended(&mut ends[1]).await);
    }

    #[tokio::test]
    async fn what_is_being_answered_gives_no_way() {
        let mut connections = Connections::default();
        let mut ends = Vec::new();
        for process in 0..MOST as i32 {
            ends.push(add(&mut connections, process, true));
            tokio::task::yield_now().await;
        }
        assert!(has_ended(&mut add(&mut connections, -1, false)).await, "there is no room");
        assert!(!has_ended(&mut ends[0]).await);
        ends.remove(7);
        connections.open[7].task.abort();
        tokio::task::yield_now().await;
        assert!(!has_ended(&mut add(&mut connections, -1, false)).await, "there is");
    }
}
