//! Programs of this package, found beside the one that runs.

use std::io;
use std::path::PathBuf;

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
