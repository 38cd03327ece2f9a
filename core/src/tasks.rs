//! Runs tasks on this crate's own thread. They go on even if their callers are cancelled.

use std::io;

use tokio::sync::oneshot;

use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, Result, transient};

/// Starts `task`. The end of the process waits for it.
pub(crate) fn start(environment: &Environment, task: BoxFuture<'static, ()>) -> Result<()> {
    environment.spawner.spawn(task).map_err(|error| no_thread(&error))
}

/// Runs `task` to its end and waits for its result. The end of the process waits for it too.
pub(crate) async fn run<T: Send + 'static>(
    environment: &Environment,
    task: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (task, answer) = answered(task);
    start(environment, task)?;
    answer.await.map_err(|_| interrupted())
}

/// Runs a `task` that changes nothing and waits for its result. The end of the process does not
/// wait for it.
pub(crate) async fn run_read<T: Send + 'static>(
    environment: &Environment,
    task: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (task, answer) = answered(task);
    environment.spawner.spawn_read(task).map_err(|error| no_thread(&error))?;
    answer.await.map_err(|_| interrupted())
}

/// Returns the error of a caller whose task ended without a result.
pub(crate) fn interrupted() -> Error {
    transient("the refresh was interrupted; try again")
}

/// Returns a task that sends its result, and the receiver of that.
fn answered<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> (BoxFuture<'static, ()>, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let task = async move {
        // This fails if the caller was cancelled.
        drop(sender.send(task.await));
    };
    (Box::pin(task), receiver)
}

fn no_thread(error: &io::Error) -> Error {
    transient(format!("cannot start a thread: {error}; try again later"))
}
