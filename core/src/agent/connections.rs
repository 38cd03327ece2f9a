//! The connections of one listener: so many at most, and so many of one process and of one user.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::{AbortHandle, JoinSet};

/// The part of all connections that one process may have: an eighth.
const SHARE_OF_PROCESS: usize = 8;

/// The part of all connections that one user may have, also where its processes are not known: a half.
const SHARE_OF_USER: usize = 2;

/// As many connections as a client of this library has.
const LEAST: usize = 8;

/// The program at the other end of a socket, as the system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) user: u32,
    /// None for one of a container, which this process does not see.
    pub(super) process: Option<i32>,
}

/// The connections that are open, from the oldest.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    tasks: JoinSet<()>,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    peer: Option<Peer>,
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

    pub(super) fn are_none(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Connections {
    /// There is room for `most` at a time.
    pub(super) fn new(most: usize) -> Self {
        Self { most, tasks: JoinSet::new(), open: Vec::new() }
    }

    /// Waits until a connection ends; for ever if there is none.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Serves one more connection, of `peer` if the system tells. If there are too many, the
    /// oldest on which no request is being answered ends for it; if there is no such one, this one
    /// ends.
    pub(super) fn add<F>(&mut self, peer: Option<Peer>, serve: impl FnOnce(Requests) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.open.retain(|open| !open.task.is_finished());
        let process = peer.and_then(|peer| peer.process);
        let user = peer.map(|peer| peer.user);
        let of_process = |open: &Open| process.is_some() && open.peer == peer;
        let of_user = |open: &Open| user.is_some() && open.peer.map(|peer| peer.user) == user;
        let has_room = self.makes_room(self.share(SHARE_OF_PROCESS), of_process)
            && self.makes_room(self.share(SHARE_OF_USER), of_user)
            && self.makes_room(self.most, |_| true);
        if has_room {
            let requests = Requests::default();
            let task = self.tasks.spawn(serve(requests.clone()));
            self.open.push(Open { peer, requests, task });
        }
    }

    const fn share(&self, part: usize) -> usize {
        let share = self.most / part;
        if share > LEAST { share } else { LEAST }
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

    const MOST: usize = 512;

    /// Adds a connection of a process of `user`, if it is known, that never ends by itself. Its
    /// receiver fails once it has ended.
    fn add(
        connections: &mut Connections,
        user: u32,
        process: Option<i32>,
        is_busy: bool,
    ) -> oneshot::Receiver<()> {
        let (alive, end) = oneshot::channel();
        connections.add(Some(Peer { user, process }), move |requests| async move {
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
        let mut connections = Connections::new(MOST);
        let mut other = add(&mut connections, 7, Some(2), false);
        let mut busy = add(&mut connections, 7, Some(1), true);
        // It begins.
        tokio::task::yield_now().await;
        let idle = 0..MOST / SHARE_OF_PROCESS;
        let mut ends: Vec<_> = idle.map(|_| add(&mut connections, 7, Some(1), false)).collect();
        assert!(!has_ended(&mut other).await && !has_ended(&mut busy).await);
        assert!(has_ended(&mut ends[0]).await && !has_ended(&mut ends[1]).await);
    }

    #[tokio::test]
    async fn one_user_leaves_room_for_another_whatever_its_processes_are() {
        for process in [|number| Some(number), |_| None] {
            let mut connections = Connections::new(MOST);
            let mut other = add(&mut connections, 8, None, false);
            for number in 1..=MOST as i32 {
                drop(add(&mut connections, 7, process(number), true));
                tokio::task::yield_now().await;
            }
            assert!(has_ended(&mut add(&mut connections, 7, process(0), true)).await);
            assert!(!has_ended(&mut other).await);
            assert!(!has_ended(&mut add(&mut connections, 8, None, true)).await);
        }
    }

    #[tokio::test]
    async fn what_is_being_answered_gives_no_way() {
        let mut connections = Connections::new(MOST);
        let mut ends = Vec::new();
        for number in 0..MOST as i32 {
            ends.push(add(&mut connections, number as u32, Some(number), true));
            tokio::task::yield_now().await;
        }
        let mut late = add(&mut connections, 1000, Some(-1), false);
        assert!(has_ended(&mut late).await, "there is no room");
        assert!(!has_ended(&mut ends[0]).await);
        ends.remove(7);
        connections.open[7].task.abort();
        tokio::task::yield_now().await;
        let mut late = add(&mut connections, 1000, Some(-1), false);
        assert!(!has_ended(&mut late).await, "there is");
    }

    #[tokio::test]
    async fn where_there_is_little_room_a_client_of_this_library_has_enough() {
        let mut connections = Connections::new(20);
        let clients = (0..LEAST).map(|_| add(&mut connections, 7, Some(1), true));
        let mut ends: Vec<_> = clients.collect();
        assert!(!has_ended(&mut ends[0]).await && !has_ended(&mut ends[LEAST - 1]).await);
    }
}
