//! What is mounted where, by the system's own table: asking a mount itself may take for ever.

#[cfg(target_os = "linux")]
use std::ffi::{OsStr, OsString};
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whether something is mounted on `path` itself.
pub(super) fn is_mount_point(path: &Path) -> bool {
    is_mounted(&table(), path.as_os_str().as_encoded_bytes())
}

/// Whether `table`, which is what Linux says in `mountinfo`, names `path` as a mount point.
pub(crate) fn is_mounted(table: &[u8], path: &[u8]) -> bool {
    mounts(table).any(|mount| mount.point == path)
}

/// Whether what is mounted on `path` was removed where it was mounted from, as by a program there that
/// put another file in its place. Only of a file system of this machine: by a network, the system
/// may say so of what is still there.
#[cfg(target_os = "linux")]
pub(super) fn is_of_removed(path: &Path) -> bool {
    let table = table();
    let mount = mounts(&table).rev().find(|mount| mount.point == path.as_os_str().as_bytes());
    mount.is_some_and(|mount| mount.root.ends_with(b"//deleted") && !is_far(mount.kind))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_of_removed(_path: &Path) -> bool {
    false
}

/// Whether one of `paths` is on a file system behind a network or another program, where a call
/// lasts for as long as that does not answer. No call is made on such a one to find out.
#[cfg(target_os = "linux")]
pub(super) fn may_hang(paths: &[PathBuf]) -> bool {
    let table = table();
    let mounts: Vec<_> = mounts(&table).collect();
    paths.iter().any(|path| leads_far(&mounts, path))
}

/// Where the system has no such table, the file system itself is asked, which may take as long as
/// any other call.
#[cfg(target_vendor = "apple")]
pub(super) fn may_hang(paths: &[PathBuf]) -> bool {
    let kind_of = |path: &PathBuf| path.ancestors().find_map(|path| rustix::fs::statfs(path).ok());
    paths.iter().filter_map(kind_of).any(|found| {
        let kind = found.f_fstypename.map(|byte| byte.to_ne_bytes()[0]);
        is_far(kind.split(|byte| *byte == 0).next().unwrap_or_default())
    })
}

/// A share, by its name.
#[cfg(windows)]
pub(super) fn may_hang(paths: &[PathBuf]) -> bool {
    use std::path::{Component, Prefix};
    paths.iter().filter_map(|path| path.components().next()).any(|first| {
        let Component::Prefix(prefix) = first else { return false };
        matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..))
    })
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple", windows)))]
pub(super) fn may_hang(_paths: &[PathBuf]) -> bool {
    false
}

fn table() -> Vec<u8> {
    std::fs::read("/proc/self/mountinfo").unwrap_or_default()
}

struct Mount<'a> {
    point: Vec<u8>,
    /// What of its file system is mounted.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has the table"))]
    root: &'a [u8],
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has the table"))]
    kind: &'a [u8],
}

/// The mounts of `table`, an older one before one that hides it.
fn mounts(table: &[u8]) -> impl DoubleEndedIterator<Item = Mount<'_>> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let (root, point) = (fields.next()?, unescaped(fields.next()?));
        let mut after_dash = line.split(|byte| *byte == b' ').skip_while(|field| *field != b"-");
        Some(Mount { point, root, kind: after_dash.nth(1).unwrap_or_default() })
    })
}

/// `text` with its octal escapes resolved: blanks, line ends and backslashes are written so.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut rest = text;
    let mut plain = Vec::with_capacity(text.len());
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.first_chunk::<3>().filter(|_| *first == b'\\').and_then(octal);
        plain.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    plain
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let value = digits
        .iter()
        .try_fold(0, |value, digit| char::from(*digit).to_digit(8).map(|digit| value * 8 + digit));
    u8::try_from(value?).ok()
}

/// Whether a file system of this `kind` leans on another machine or another program.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn is_far(kind: &[u8]) -> bool {
    const KINDS: [&str; 21] = [
        "9p",
        "afpfs",
        "afs",
        "autofs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse",
        "glusterfs",
        "gpfs",
        "lustre",
        "macfuse",
        "nfs",
        "osxfuse",
        "smb",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
        "webdav",
    ];
    KINDS.iter().any(|name| kind.starts_with(name.as_bytes()))
}

/// Walks down `path`, along its links, and stops where the way comes to a far file system.
#[cfg(target_os = "linux")]
fn leads_far(mounts: &[Mount<'_>], path: &Path) -> bool {
    /// More than any path has that leads somewhere.
    const MOST_STEPS: usize = 1000;

    let mut place = PathBuf::new();
    let mut steps = steps_of(path);
    for _ in 0..MOST_STEPS {
        let Some(step) = steps.pop() else { break };
        if step == ".." {
            place.pop();
        } else {
            place.push(step);
        }
        if is_on_far(mounts, &place) {
            return true;
        }
        if let Ok(link) = std::fs::read_link(&place) {
            place.pop();
            steps.extend(steps_of(&link));
        }
    }
    false
}

/// The components of `path`, the last one first.
#[cfg(target_os = "linux")]
fn steps_of(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|step| step.as_os_str().to_owned()).collect()
}

/// Whether the mount that `place` is on is a far one: the last in the table, which hides the others.
#[cfg(target_os = "linux")]
fn is_on_far(mounts: &[Mount<'_>], place: &Path) -> bool {
    let is_over = |mount: &&Mount<'_>| place.starts_with(OsStr::from_bytes(&mount.point));
    mounts.iter().rev().find(is_over).is_some_and(|mount| is_far(mount.kind))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_far_where_any_part_of_its_way_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let near = folder.path().canonicalize().expect("there");
        let at = |name: &str| near.join(name);
        for (link, to) in
            [("link", "far/home"), ("to_link", "link"), ("up", "far/../local"), ("loop", "loop")]
        {
            symlink(to, at(link)).expect("linked");
        }
        symlink(at("far"), at("absolute")).expect("linked");
        let near = near.display();
        for (kind, is_far) in [
            ("nfs4", true),
            ("cifs", true),
            ("fuse.sshfs", true),
            ("fuse", true),
            ("9p", true),
            ("ext4", false),
            ("overlay", false),
        ] {
            let table = format!(
                "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:1 / {near}/far rw shared:1 - {kind} a rw\n\
                 3 1 0:2 / {near}/local rw - tmpfs none rw\n4 2 0:3 / {near}/far/near rw - tmpfs none rw\n"
            );
            let found =
                |name: &str| leads_far(&mounts(table.as_bytes()).collect::<Vec<_>>(), &at(name));
            for name in ["far", "far/home", "link/auth.json", "to_link", "up", "absolute/home"] {
                assert_eq!(found(name), is_far, "{name} on {kind}");
            }
            for name in ["local/home", "not there/at all", "faraway", "loop"] {
                assert!(!found(name), "{name}");
            }
        }
        let over = format!("2 1 0:1 / {near} rw - nfs a rw\n3 2 0:2 / {near} rw - tmpfs none rw\n");
        for table in [over.as_bytes(), b"", b"\xff - \n - "] {
            let mounts: Vec<_> = mounts(table).collect();
            assert!(!leads_far(&mounts, &at("home")), "the last mount hides the first");
        }
    }
}
