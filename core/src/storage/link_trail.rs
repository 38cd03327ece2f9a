//! The symbolic links on the way to a file. What may write to a folder can plant one there, and have a
//! program with more rights than its own write, or remove, what the link leads to.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;

/// Fails where a link on the way along `path` may be planted: made by, or in a folder of, neither
/// this user, nor the system, nor the owner of the `found` file that it leads to.
pub(super) fn check(path: &Path, found: &Metadata) -> io::Result<()> {
    check_as(rustix::process::geteuid().as_raw(), path, found)
}

fn check_as(user: u32, path: &Path, found: &Metadata) -> io::Result<()> {
    let mut place = PathBuf::new();
    let mut steps = steps_of(path);
    let mut links = 0;
    while let Some(step) = steps.pop() {
        if step == ".." {
            place.pop();
            continue;
        }
        place.push(step);
        let Ok(link) = place.symlink_metadata() else { return Ok(()) };
        if !link.is_symlink() {
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other("too many symbolic links"));
        }
        let to = place.read_link()?;
        let at = place.clone();
        place.pop();
        // In a sandbox the system's files may be those of a user without a name.
        let trusted = [user, found.uid(), 0, Path::new("/").metadata()?.uid()];
        if ![link.uid(), place.metadata()?.uid()].iter().all(|uid| trusted.contains(uid)) {
            return Err(planted(&at, found.uid()));
        }
        steps.extend(steps_of(&to));
    }
    Ok(())
}

/// The components of `path`, the last one first.
fn steps_of(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|step| step.as_os_str().to_owned()).collect()
}

fn planted(link: &Path, owner: u32) -> io::Error {
    let link = link.display();
    let message = format!(
        "{link} is a symbolic link that another user may have made, to what belongs to user {owner}"
    );
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, lchown, symlink};

    use super::*;

    #[test]
    fn a_link_is_followed_to_what_its_maker_owns_and_a_users_own_to_anything() {
        const ALICE: u32 = 1000;
        const BOB: u32 = 1001;
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        let (folder, link, target) = (at("home"), at("home/auth.json"), at("target"));
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(&target, "").expect("written");
        symlink(&target, &link).expect("linked");
        if chown(&target, Some(ALICE), None).is_err() {
            return; // Only root can give files away.
        }
        // The process, the owners of the folder, of the link and of what it leads to.
        for (user, folders, links, targets, is_followed) in [
            (0, ALICE, ALICE, ALICE, true),
            (0, ALICE, ALICE, 0, false),
            (0, ALICE, 0, 0, false),
            (0, ALICE, ALICE, BOB, false),
            (0, 0, 0, ALICE, true),
            (0, 0, ALICE, 0, false),
            (ALICE, ALICE, ALICE, 0, true),
            (ALICE, 0, 0, BOB, true),
            (ALICE, ALICE, BOB, ALICE, false),
            (ALICE, BOB, BOB, BOB, true),
            (ALICE, BOB, BOB, ALICE, false),
        ] {
            chown(&folder, Some(folders), None).expect("given");
            lchown(&link, Some(links), None).expect("given");
            chown(&target, Some(targets), None).expect("given");
            let found = target.metadata().expect("there");
            let checked = check_as(user, &link, &found);
            let case = format!("{user} in {folders}: {links} to {targets}: {checked:?}");
            assert_eq!(checked.is_ok(), is_followed, "{case}");
        }
    }
}
