//! Homes of Codex CLIs that are sinks of an agent.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::crash::signal::pause;

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
            let text = fs::read_to_string(folder.join("auth.json")).expect("a copy");
            let record: Value = serde_json::from_str(&text).expect("JSON");
            record.pointer("/tokens/refresh_token") != Some(&Value::from(""))
        };
        let found = self.folders.iter().filter(has_one);
        found.map(|folder| format!("{} has a refresh token", folder.display()))
    }
}
