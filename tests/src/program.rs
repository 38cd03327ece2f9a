//! Programs that tests run: those of this package, beside the one that runs, and scripts.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What runs scripts in Python: `$PYTHON` (default `python3`), which must have the package.
#[must_use]
pub fn python() -> Command {
    interpreter("PYTHON", "python3")
}

/// What runs scripts in JavaScript: `$NODE` (default `node`).
#[must_use]
pub fn node() -> Command {
    interpreter("NODE", "node")
}

fn interpreter(variable: &str, default: &str) -> Command {
    Command::new(std::env::var_os(variable).unwrap_or_else(|| default.into()))
}

/// A file of the repository, by its path from the folder of this package.
#[must_use]
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The program `name`: tests run in `target/<profile>/deps`, binaries one folder above.
///
/// # Errors
///
/// If it has not been built.
pub fn beside_this_one(name: &str) -> io::Result<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let program = std::env::current_exe()?;
    let folders = program.ancestors().skip(1).take(2);
    let mut candidates = folders.map(|folder| folder.join(&file));
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("{name} has not been built"))
    })
}
