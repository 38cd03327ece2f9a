//! Homes of Codex CLIs that are sinks of an agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::crash::signal::pause;
use crate::privilege::Namespace;

/// Where a container has its sink.
pub(super) const INSIDE: &str = "/mnt";

/// A container that sees the sink at `folder`, and nothing of what is in `hidden`.
pub(super) fn container(folder: &Path, hidden: &Path) -> Namespace {
    let script = format!("mount --bind \"$1\" {INSIDE}\nmount -t tmpfs none \"$2\"");
    Namespace::container(&script, &[folder, hidden])
}

/// The access token in this folder; none if there is no whole record.
pub(super) fn access_token(folder: &Path) -> Option<String> {
    let copy = folder.join("auth.json");
    // A link is no copy.
    let text = copy.symlink_metadata().ok()?.is_file().then(|| fs::read_to_string(copy));
    let record: Value = serde_json::from_str(&text?.ok()?).ok()?;
    record.pointer("/tokens/access_token").and_then(Value::as_str).map(str::to_owned)
}

/// Folders that last until this is dropped.
#[derive(Debug)]
pub(super) struct Sinks {
    folders: Vec<PathBuf>,
    _all: TempDir,
}

impl Sinks {
    /// So many that are empty.
    pub(super) fn new(number: usize) -> Self {
        let all = tempfile::tempdir().expect("a folder");
        let folders: Vec<_> = (0..number).map(|it| all.path().join(it.to_string())).collect();
        folders.iter().for_each(|folder| fs::create_dir(folder).expect("created"));
        Self { folders, _all: all }
    }

    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Waits until each has a copy.
    pub(super) fn wait(&self) {
        while !self.folders.iter().all(|folder| folder.join("auth.json").is_file()) {
            pause(Duration::from_millis(5));
        }
    }

    /// A line for each that has a refresh token.
    pub(super) fn refresh_tokens(&self) -> impl Iterator<Item = String> {
        let has_one = |folder: &&PathBuf| {
            // One that is spoilt may have no copy now.
            let text = fs::read_to_string(folder.join("auth.json")).unwrap_or_default();
            let record: Value = serde_json::from_str(&text).unwrap_or_default();
            let token = record.pointer("/tokens/refresh_token").and_then(Value::as_str);
            token.is_some_and(|token| !token.is_empty())
        };
        let found = self.folders.iter().filter(has_one);
        found.map(|folder| format!("{} has a refresh token", folder.display()))
    }
}
