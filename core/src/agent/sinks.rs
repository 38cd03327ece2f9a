//! The sinks of one login. The list may be another one after a reload.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::login::Login;
use super::sink::{Sink, SinkOptions};
use crate::error::Result;
use crate::option_value::invalid;

/// Sinks that follow a login. Dropping this ends them.
#[derive(Debug)]
pub(super) struct Sinks {
    login: Arc<Login>,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    options: SinkOptions,
    /// It is empty once the sink has stopped.
    task: JoinSet<()>,
}

impl Sinks {
    pub(super) const fn of(login: Arc<Login>) -> Self {
        Self { login, running: Vec::new() }
    }

    /// Starts the sink with these `options`, unless it runs.
    ///
    /// # Errors
    ///
    /// Those of [`Sink::open`].
    pub(super) async fn start(&mut self, options: SinkOptions) -> Result<()> {
        self.running.retain_mut(|sink| {
            while sink.task.try_join_next().is_some() {}
            !sink.task.is_empty()
        });
        if self.running.iter().any(|sink| sink.options == options) {
            return Ok(());
        }
        let sink = Sink::open(options.clone()).await?;
        let mut task = JoinSet::new();
        task.spawn(sink.follow(Arc::clone(&self.login)));
        self.running.push(Running { options, task });
        Ok(())
    }

    /// Ends the sinks that are not `wanted` any more. Their last copies stay.
    pub(super) fn keep(&mut self, wanted: &[SinkOptions]) {
        self.running.retain(|sink| wanted.contains(&sink.options));
    }
}

/// Fails if two of `sinks` are one folder: each would take the other one's copy away.
///
/// # Errors
///
/// `invalid_option`
pub(super) fn check(sinks: &[&SinkOptions]) -> Result<()> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for sink in sinks {
        let folder = absolute(&sink.folder);
        if folders.contains(&folder) {
            let (folder, problem) = (folder.display(), "which is named twice");
            return Err(invalid("a sink's folder", folder, problem, "give each login its own"));
        }
        folders.push(folder);
    }
    Ok(())
}

fn absolute(folder: &Path) -> PathBuf {
    // The parts, so that a slash at the end makes no difference.
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).components().collect()
}
