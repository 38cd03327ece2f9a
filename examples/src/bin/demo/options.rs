//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;

pub(crate) struct Options {
    pub(crate) duration: Duration,
    /// Processes per language.
    pub(crate) processes: usize,
    pub(crate) python: PathBuf,
    pub(crate) node: PathBuf,
    /// The real Codex CLI, to take part.
    pub(crate) codex: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            duration: Duration::from_secs(30),
            processes: 4,
            python: "python3".into(),
            node: "node".into(),
            codex: None,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--seconds" => options.duration = Duration::from_secs(value.parse()?),
                "--processes" => options.processes = value.parse()?,
                "--python" => options.python = value.into(),
                "--node" => options.node = value.into(),
                "--codex" => options.codex = Some(value.into()),
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        Ok(options)
    }
}
