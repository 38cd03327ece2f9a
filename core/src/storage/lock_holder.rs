//! Which process holds a lock, as far as the system tells.

use std::path::Path;

use crate::process::Program;

/// Returns what to call the holder of the lock on the file at `path`: by its number and name where
/// those are known.
pub(crate) fn name(path: &Path) -> String {
    find(path).map_or_else(|| "another program".to_owned(), |holder| holder.to_string())
}

/// Returns the holder of the lock on the file at `path`; none if there is none, or if the system does
/// not tell.
#[cfg(target_os = "linux")]
pub(super) fn find(path: &Path) -> Option<Program> {
    use std::os::unix::fs::MetadataExt;

    let found = path.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", found.ino());
    holder_in(&std::fs::read_to_string("/proc/locks").ok()?, &file).map(Program::of)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn find(_path: &Path) -> Option<Program> {
    None
}

/// Returns the process that has locked `file` by `flock`, as `table` has it, which is what Linux says
/// in `/proc/locks`. A process outside of this container has no number there.
#[cfg(target_os = "linux")]
fn holder_in(table: &str, file: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, process, locked, ..] = *fields else { return None };
        process.parse().ok().filter(|process| *process > 0 && locked == file)
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_the_process_that_the_system_names() {
        let table = "1: POSIX  ADVISORY  WRITE 7 08:01:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 08:02:42 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 08:01:42 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 10 08:01:42 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 08:01:43 0 EOF\n";
        for (file, expected) in [("08:01:42", Some(9)), ("08:01:43", None), ("08:01:4", None)] {
            assert_eq!(holder_in(table, file), expected, "{file}");
        }
        assert_eq!(holder_in("3: FLOCK", "08:01:42"), None);
        assert_eq!(name(Path::new("/not/there")), "another program");
    }
}
