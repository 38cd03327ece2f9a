//! Which program a process runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::ProcessId;

/// The longest name that is kept.
const LONGEST_NAME: usize = 32;

/// A process: its number, and the name of its program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Program {
    /// The number of the process, as its own container counts.
    pub pid: u32,
    /// The name of the program's file, without its folder; none if it is not known.
    pub name: Option<String>,
}

impl Program {
    /// Returns the program that process `pid` runs. The program has chosen its `name`, so only what
    /// is fit for a log stays of that.
    pub(crate) fn named(pid: u32, name: &str) -> Self {
        let name: String = name.chars().filter(char::is_ascii_graphic).take(LONGEST_NAME).collect();
        Self { pid, name: Some(name).filter(|name| !name.is_empty()) }
    }

    /// Returns the program that process `pid` runs, with its name where the system tells.
    #[cfg(unix)]
    pub(crate) fn of(pid: u32) -> Self {
        Self::named(pid, &std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default())
    }

    /// Returns the program of the calling process.
    pub(crate) fn current() -> Self {
        let file = std::env::current_exe().unwrap_or_default();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Self::named(ProcessId::current().number(), &name)
    }

    /// Returns this program as this crate would have noted it: another program may have written it.
    pub(crate) fn believable(self) -> Self {
        Self::named(self.pid, &self.name.unwrap_or_default())
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "process {} ({name})", self.pid),
            None => write!(f, "process {}", self.pid),
        }
    }
}
