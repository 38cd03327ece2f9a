//! Work on this crate's own thread, which goes on whatever becomes of its caller.

use std::io;

use tokio::sync::oneshot;

use crate::environment::{BoxFuture, Environment};
use crate::error::{Error, Result, transient};

/// Starts `task`. The end of the process waits for it.
pub(crate) fn start(environment: &Environment, task: BoxFuture<'static, ()>) -> Result<()> {
    environment.spawner.spawn(task).map_err(|error| no_thread(&error))
}

/// Runs `task` to its end and waits for its answer. The end of the process waits for it too.
pub(crate) async fn run<T: Send + 'static>(
    environment: &Environment,
    task: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (task, answer) = answered(task);
    start(environment, task)?;
    answer.await.map_err(|_| interrupted())
}

/// Runs a `task` that changes nothing and waits for its answer. The end of the process does not.
pub(crate) async fn run_read<T: Send + 'static>(
    environment: &Environment,
    task: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (task, answer) = answered(task);
    environment.spawner.spawn_read(task).map_err(|error| no_thread(&error))?;
    answer.await.map_err(|_| interrupted())
}

/// The error of a caller whose answer never came.
pub(crate) fn interrupted() -> Error {
    transient("the refresh was interrupted; try again")
}

/// `task` to be started somewhere, and its answer.
fn answered<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> (BoxFuture<'static, ()>, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let task = async move {
        // An answer that came too late has no listener.
        drop(sender.send(task.await));
    };
    (Box::pin(task), receiver)
}

fn no_thread(error: &io::Error) -> Error {
    transient(format!("cannot start a thread: {error}"))
}
