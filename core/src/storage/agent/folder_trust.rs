//! Whether the folder of a socket is safe from other users: one that may write to it, or to a folder
//! above it, could put an agent of his own in the place of the real one.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The bits by which a group and all others write to a folder.
const WRITE: u32 = 0o022;

/// The bit by which only the owner of what is in a folder may rename it, as in `/tmp`.
const STICKY: u32 = 0o1000;

/// Returns the folder in which other users could put something in the place of `folder`, or of what is
/// in it; none if there is no such folder.
///
/// # Errors
///
/// Where one of the folders cannot be looked at.
pub(crate) fn open_to_others(folder: &Path) -> io::Result<Option<PathBuf>> {
    if folder.metadata()?.mode() & WRITE != 0 {
        return Ok(Some(folder.to_owned()));
    }
    // A link on the way can be replaced in its own folder, and what it leads to in another one: both ways
    // are looked at.
    for way in [std::path::absolute(folder)?, folder.canonicalize()?] {
        for (inner, outer) in way.ancestors().zip(way.ancestors().skip(1)) {
            if is_replaceable(inner, outer)? {
                return Ok(Some(outer.to_owned()));
            }
        }
    }
    Ok(None)
}

/// Returns whether other users may put something in the place of `inner`, which is in `outer`.
fn is_replaceable(inner: &Path, outer: &Path) -> io::Result<bool> {
    let mode = outer.metadata()?.mode();
    let own = rustix::process::geteuid().as_raw();
    let is_ours = [own, 0].contains(&inner.symlink_metadata()?.uid());
    Ok(mode & WRITE != 0 && !(mode & STICKY != 0 && is_ours))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;
    use crate::child;

    /// A folder `b` in a folder `a` of mode `mode`.
    fn nested(place: &Path, mode: u32) -> [PathBuf; 2] {
        let [a, b] = [place.join("a"), place.join("a/b")];
        std::fs::create_dir_all(&b).expect("made");
        std::fs::set_permissions(&b, Permissions::from_mode(0o755)).expect("set");
        std::fs::set_permissions(&a, Permissions::from_mode(mode)).expect("set");
        [a, b]
    }

    #[test]
    fn a_folder_is_as_safe_as_the_ones_above_it() {
        let place = tempfile::tempdir().expect("a folder");
        let place = place.path();
        for (mode, is_safe) in
            [(0o700, true), (0o755, true), (0o1777, true), (0o777, false), (0o770, false)]
        {
            let [a, b] = nested(place, mode);
            let expected = (!is_safe).then_some(a);
            assert_eq!(open_to_others(&b).expect("looked at"), expected, "{mode:o}");
        }
        for mode in [0o770, 0o707, 0o1777] {
            let a = nested(place, mode)[0].clone();
            assert_eq!(open_to_others(&a).expect("looked at"), Some(a), "{mode:o}");
        }
        open_to_others(&place.join("none")).expect_err("not there");
    }

    #[test]
    fn what_another_user_has_made_where_all_may_is_not_safe() {
        let place = tempfile::tempdir().expect("a folder");
        let [shared, theirs] = nested(place.path(), 0o1777);
        let link = shared.join("link");
        symlink("/", &link).expect("linked");
        if chown(&theirs, Some(65534), None).is_err() {
            return child::skip("another user");
        }
        std::os::unix::fs::lchown(&link, Some(65534), None).expect("given");
        for theirs in [&theirs, &link] {
            assert_eq!(open_to_others(theirs).expect("looked at"), Some(shared.clone()));
        }
        // An agent may be another user's, where only root decides what is there.
        std::fs::set_permissions(&shared, Permissions::from_mode(0o755)).expect("set");
        assert_eq!(open_to_others(&theirs).expect("looked at"), None);
    }
}
