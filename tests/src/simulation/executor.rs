//! Runs tasks one at a time in an order that a seed decides, under a clock that stands still while
//! any of them can run. Tasks belong to processes, which can be killed and stopped.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use codex_auth_sdk::environment::BoxFuture;

use crate::chance::{Chance, mix};

/// Names a process; no name is used twice.
pub(super) type ProcessId = u32;
type TaskId = u64;
type Task = BoxFuture<'static, ()>;

/// Polls without any time passing after which something must be spinning.
const MOST_POLLS_AT_ONCE: usize = 5_000_000;

/// See the module. Clones are the same one.
#[derive(Clone)]
pub(super) struct Executor(Arc<Kernel>);

struct Kernel {
    order: Chance,
    state: Mutex<State>,
    /// Tasks that were woken since the last poll.
    woken: Mutex<Vec<TaskId>>,
}

#[derive(Default)]
struct State {
    now: Duration,
    tasks: HashMap<TaskId, Entry>,
    processes: HashMap<ProcessId, Process>,
    ready: Vec<TaskId>,
    timers: BinaryHeap<Reverse<Timer>>,
    last_task: TaskId,
    last_process: ProcessId,
    last_timer: u64,
    polls: u64,
    /// Of the order in which tasks ran, and when.
    trace: u64,
}

struct Entry {
    process: ProcessId,
    /// None while it is polled.
    task: Option<Task>,
    waker: Waker,
    is_queued: bool,
}

#[derive(Default)]
struct Process {
    tasks: BTreeSet<TaskId>,
    is_stopped: bool,
    /// Tasks that could run if the process were not stopped.
    parked: Vec<TaskId>,
}

struct Timer {
    at: Duration,
    number: u64,
    waker: Waker,
}

impl Executor {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Kernel {
            order: Chance::new(mix(seed ^ 0x5ced)),
            state: Mutex::default(),
            woken: Mutex::default(),
        }))
    }

    /// Time since the start.
    pub(super) fn now(&self) -> Duration {
        self.0.state().now
    }

    /// How many times tasks ran, and a hash of which ran when.
    pub(super) fn trace(&self) -> (u64, u64) {
        let state = self.0.state();
        (state.polls, state.trace)
    }

    pub(super) fn sleep(&self, duration: Duration) -> Sleep {
        let at = self.now().saturating_add(duration);
        Sleep { executor: self.clone(), at, is_set: false }
    }

    pub(super) fn start_process(&self) -> ProcessId {
        let mut state = self.0.state();
        state.last_process += 1;
        let process = state.last_process;
        state.processes.insert(process, Process::default());
        process
    }

    /// Starts a task of `process`; nothing if that has ended.
    pub(super) fn spawn(&self, process: ProcessId, task: Task) {
        let mut state = self.0.state();
        state.last_task += 1;
        let id = state.last_task;
        let Some(owner) = state.processes.get_mut(&process) else { return };
        owner.tasks.insert(id);
        let waker = Waker::from(Arc::new(TaskWaker { id, kernel: Arc::downgrade(&self.0) }));
        state.tasks.insert(id, Entry { process, task: Some(task), waker, is_queued: false });
        state.make_ready(id);
    }

    /// Ends `process` and all its tasks, wherever they are. What they own is dropped when the
    /// result is.
    #[must_use]
    pub(super) fn kill(&self, process: ProcessId) -> Vec<Task> {
        let mut state = self.0.state();
        let tasks = state.processes.remove(&process).unwrap_or_default().tasks;
        tasks.iter().filter_map(|id| state.tasks.remove(id)?.task).collect()
    }

    pub(super) fn is_alive(&self, process: ProcessId) -> bool {
        self.0.state().processes.contains_key(&process)
    }

    /// Lets none of the tasks of `process` run until it is resumed.
    pub(super) fn stop(&self, process: ProcessId) {
        if let Some(process) = self.0.state().processes.get_mut(&process) {
            process.is_stopped = true;
        }
    }

    pub(super) fn resume(&self, process: ProcessId) {
        let mut state = self.0.state();
        let Some(process) = state.processes.get_mut(&process) else { return };
        process.is_stopped = false;
        let parked = std::mem::take(&mut process.parked);
        state.ready.extend(parked);
    }

    /// Runs until `end`, or until `is_over`, or until nothing is left that could ever run.
    ///
    /// # Panics
    ///
    /// If tasks spin without time passing.
    pub(super) fn run(&self, end: Duration, is_over: impl Fn() -> bool) {
        let mut polls_at_once = 0;
        while !is_over() {
            match self.0.next() {
                Some((id, task, waker)) => self.0.poll(id, task, &waker),
                None if self.0.advance(end) => polls_at_once = 0,
                None => break,
            }
            polls_at_once += 1;
            assert!(polls_at_once < MOST_POLLS_AT_ONCE, "tasks spin at {:?}", self.now());
        }
    }

    /// Drops all tasks, which know the executor.
    pub(super) fn clear(&self) {
        let tasks = std::mem::take(&mut self.0.state().tasks);
        drop(tasks);
    }
}

impl Kernel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// One of the tasks that can run.
    fn next(&self) -> Option<(TaskId, Task, Waker)> {
        let mut state = self.state();
        let mut woken = self.woken.lock().expect("no panic");
        // One poll can wake many, in an order that is not ours to decide: `watch` of Tokio, say,
        // spreads its listeners by a random number of its own.
        woken.sort_unstable();
        woken.drain(..).for_each(|id| state.make_ready(id));
        drop(woken);
        while !state.ready.is_empty() {
            let at = self.order.below(state.ready.len());
            let id = state.ready.swap_remove(at);
            let State { tasks, processes, .. } = &mut *state;
            let Some(entry) = tasks.get_mut(&id) else { continue };
            let owner = processes.get_mut(&entry.process);
            if let Some(owner) = owner.filter(|owner| owner.is_stopped) {
                owner.parked.push(id);
                continue;
            }
            entry.is_queued = false;
            let (task, waker) = (entry.task.take()?, entry.waker.clone());
            state.polls += 1;
            let now = u64::try_from(state.now.as_nanos()).unwrap_or(u64::MAX);
            state.trace = mix(state.trace ^ id ^ now.rotate_left(32));
            return Some((id, task, waker));
        }
        None
    }

    fn poll(&self, id: TaskId, mut task: Task, waker: &Waker) {
        let is_done = task.as_mut().poll(&mut Context::from_waker(waker)).is_ready();
        let mut state = self.state();
        let Some(entry) = state.tasks.get_mut(&id) else {
            // Killed in the middle of it: what it owns is dropped without the lock.
            drop(state);
            return drop(task);
        };
        if !is_done {
            entry.task = Some(task);
            return;
        }
        let process = entry.process;
        state.tasks.remove(&id);
        if let Some(process) = state.processes.get_mut(&process) {
            process.tasks.remove(&id);
        }
    }

    /// Lets time pass until the next timer; whether there is one before `end`.
    fn advance(&self, end: Duration) -> bool {
        let mut state = self.state();
        let Some(now) = state.timers.peek().map(|Reverse(timer)| timer.at) else { return false };
        if now > end {
            return false;
        }
        state.now = now;
        let mut due = Vec::new();
        while state.timers.peek().is_some_and(|Reverse(timer)| timer.at <= now) {
            due.extend(state.timers.pop());
        }
        drop(state);
        due.into_iter().for_each(|Reverse(timer)| timer.waker.wake());
        true
    }
}

impl State {
    fn make_ready(&mut self, id: TaskId) {
        if let Some(entry) = self.tasks.get_mut(&id).filter(|entry| !entry.is_queued) {
            entry.is_queued = true;
            self.ready.push(id);
        }
    }
}

struct TaskWaker {
    id: TaskId,
    kernel: Weak<Kernel>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(kernel) = self.kernel.upgrade() {
            kernel.woken.lock().expect("no panic").push(self.id);
        }
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Waits until a time.
pub(super) struct Sleep {
    executor: Executor,
    at: Duration,
    is_set: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let executor = self.executor.clone();
        let mut state = executor.0.state();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        if !self.is_set {
            self.is_set = true;
            state.last_timer += 1;
            let timer =
                Timer { at: self.at, number: state.last_timer, waker: context.waker().clone() };
            state.timers.push(Reverse(timer));
        }
        Poll::Pending
    }
}

/// What ended first of two futures.
pub(super) enum First<A, B> {
    Left(A),
    Right(B),
}

/// Waits for one of two futures; the other is dropped.
pub(super) async fn first<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let (mut left, mut right) = (std::pin::pin!(left), std::pin::pin!(right));
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(value));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}
