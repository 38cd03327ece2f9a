//! Where a path really leads, as users write it.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf, Prefix};

/// Returns the path without links that `path` leads to. Windows answers with a prefix (`\\?\C:\`)
/// that users do not write, and that some programs refuse; it is kept only where the path would
/// mean another file without it.
pub(crate) fn of(path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    let plain = without_prefix(&real);
    let is_same = |plain: &PathBuf| plain.canonicalize().is_ok_and(|found| found == real);
    Ok(plain.filter(is_same).unwrap_or(real))
}

/// Returns what `real` is without the prefix, if it has one.
fn without_prefix(real: &Path) -> Option<PathBuf> {
    let mut components = real.components();
    let Component::Prefix(prefix) = components.next()? else { return None };
    let mut start = OsString::new();
    match prefix.kind() {
        Prefix::VerbatimDisk(disk) => start.push(format!("{}:", char::from(disk))),
        Prefix::VerbatimUNC(server, share) => {
            for part in [r"\\".as_ref(), server, r"\".as_ref(), share] {
                start.push(part);
            }
        }
        _ => return None,
    }
    start.push(components.as_path());
    Some(start.into())
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_as_users_write_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = of(folder.path()).expect("there");
        assert!(!real.to_string_lossy().starts_with(r"\\?\"), "{real:?}");
        assert!(real.is_absolute() && real.is_dir());
        assert_eq!(real.canonicalize().ok(), folder.path().canonicalize().ok());
        for (prefixed, plain) in [
            (r"\\?\C:\Users\a", Some(r"C:\Users\a")),
            (r"\\?\C:\", Some(r"C:\")),
            (r"\\?\UNC\server\share\a", Some(r"\\server\share\a")),
            (r"\\?\Volume{1}\a", None),
            (r"C:\a", None),
        ] {
            let found = without_prefix(Path::new(prefixed));
            assert_eq!(found.as_deref(), plain.map(Path::new), "{prefixed}");
        }
    }
}
