//! Whose a new file is: that of the file it replaces, else of its folder, so that a root container
//! does not lock its host's user out. And what others may do with it, whatever the umask is.

use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::path::Path;

#[cfg(unix)]
use crate::process::file_id;

/// What a group may do with the record, which lock files and ledger follow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sharing {
    #[cfg(unix)]
    group: u32,
    /// The bits of the group; without any the lock files are their owner's alone. None without a
    /// record: then it is not known yet which group shares it.
    #[cfg(unix)]
    bits: Option<u32>,
    /// Whether the group shares the record on purpose: it may read and write it, no other user may open
    /// it, and it is this user's. What else is open is so by a umask, or was put there by another user,
    /// and becomes its owner's alone with a save.
    #[cfg(unix)]
    is_on_purpose: bool,
}

impl Sharing {
    /// That of the `record` at `path`. One with an access control list is no group's: the bits of its
    /// group say what all in the list may do together.
    #[cfg(unix)]
    pub(crate) fn of(path: &Path, record: Option<&Metadata>) -> Self {
        use std::os::unix::fs::MetadataExt;

        let Some(record) = record else { return Self::default() };
        let (mode, user) = (record.mode(), rustix::process::geteuid());
        let bits = if mode & 0o060 != 0 && may_have_list(path) { 0 } else { mode & 0o060 };
        let is_ours = user.is_root() || user.as_raw() == record.uid();
        let is_on_purpose = bits == 0o060 && mode & 0o007 == 0 && is_ours;
        Self { group: record.gid(), bits: Some(bits), is_on_purpose }
    }

    #[cfg(not(unix))]
    pub(crate) fn of(_path: &Path, _record: Option<&Metadata>) -> Self {
        Self {}
    }
}

/// Returns whether the file at `path` has an access control list, or nothing shows that it has none.
#[cfg(target_os = "linux")]
fn may_have_list(path: &Path) -> bool {
    let mut none = [0_u8; 0];
    let found = rustix::fs::getxattr(path, "system.posix_acl_access", &mut none[..]);
    found != Err(rustix::io::Errno::NODATA)
}

/// The lists of macOS do not show in the mode.
#[cfg(all(unix, not(target_os = "linux")))]
const fn may_have_list(_path: &Path) -> bool {
    cfg!(not(target_os = "macos"))
}

/// Gives `file` the owner of `model`, and its group where this process may: the file is its owner's
/// alone, so that another group takes nothing from any user.
///
/// # Errors
///
/// Where the owners differ and this process may not change them.
#[cfg(unix)]
pub(crate) fn copy(file: &File, model: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let own = file.metadata()?;
    if own.gid() != model.gid() {
        fchown(file, None, Some(model.gid())).unwrap_or_default();
    }
    if own.uid() == model.uid() {
        return Ok(());
    }
    fchown(file, Some(model.uid()), None).map_err(|error| {
        let owner = model.uid();
        io::Error::new(error.kind(), format!("only user {owner}, the owner, may do that ({error})"))
    })
}

#[cfg(not(unix))]
pub(crate) fn copy(_file: &File, _model: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Gives `file`, which this process has just made, the permissions `mode`, also those that the umask
/// has taken away. A file system that refuses modes decides itself.
#[cfg(unix)]
pub(crate) fn set_mode(file: &File, mode: u32) {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    if file.metadata().is_ok_and(|found| found.mode() & 0o777 == mode) {
        return;
    }
    file.set_permissions(Permissions::from_mode(mode)).unwrap_or_default();
}

#[cfg(not(unix))]
pub(crate) fn set_mode(_file: &File, _mode: u32) {}

/// Opens the new lock `file`, which is at `path`, to the group of `sharing`.
///
/// # Errors
///
/// Where this process may not give it to that group, or where the folder has given it an access control
/// list; then the file is its owner's alone.
#[cfg(unix)]
pub(crate) fn share_lock(file: &File, path: &Path, sharing: Sharing) -> io::Result<()> {
    share_as(file, path, sharing, sharing.bits.unwrap_or_default())
}

#[cfg(not(unix))]
pub(crate) fn share_lock(_file: &File, _path: &Path, _sharing: Sharing) -> io::Result<()> {
    Ok(())
}

/// Opens the new `file` at `path`, which is to be the record or the ledger, to the group that shares the
/// record on purpose, and closes it to any other.
///
/// # Errors
///
/// Those of [`share_lock`].
#[cfg(unix)]
pub(crate) fn share(file: &File, path: &Path, sharing: Sharing) -> io::Result<()> {
    share_as(file, path, sharing, if sharing.is_on_purpose { 0o060 } else { 0 })
}

#[cfg(not(unix))]
pub(crate) fn share(_file: &File, _path: &Path, _sharing: Sharing) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn share_as(file: &File, path: &Path, sharing: Sharing, bits: u32) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let found = file.metadata()?;
    let own = found.mode() & 0o700;
    // To open a file that has a list opens it to all in the list.
    let has_list = bits != 0 && may_have_list(path);
    if bits == 0 || has_list || found.gid() != sharing.group {
        // Closed before it changes hands.
        set_mode(file, own);
    }
    if has_list {
        return Err(io::Error::other("new files in the folder have an access control list"));
    }
    if bits != 0 && found.gid() != sharing.group {
        fchown(file, None, Some(sharing.group))?;
    }
    set_mode(file, own | bits);
    Ok(())
}

/// Takes the permissions for others from the lock `file`, which is at `path`, and those for the group
/// where the record has none. A file of another owner is left alone, and so is one that has a second
/// name or is behind a link, since another program may have made it.
///
/// # Errors
///
/// Where this process may not change them.
#[cfg(unix)]
pub(crate) fn narrow(file: &File, path: &Path, sharing: Sharing) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let widest = if sharing.bits == Some(0) { 0o700 } else { 0o770 };
    let found = file.metadata()?;
    let mode = found.mode() & 0o777;
    let is_ours = || found.uid() == rustix::process::geteuid().as_raw() && found.nlink() == 1;
    if mode & !widest == 0 || !is_ours() || file_id(&path.symlink_metadata()?) != file_id(&found) {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode & widest))
}

#[cfg(not(unix))]
pub(crate) fn narrow(_file: &File, _path: &Path, _sharing: Sharing) -> io::Result<()> {
    Ok(())
}

/// Makes `folder`, and the folders that it is in, for their owners only. The owner of each is that of
/// the folder that it is made in. One that is there stays as it is.
///
/// # Errors
///
/// Where one cannot be made, or something else is in its place.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    match folder.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let Some(parent) = folder.parent() else { return Err(io::ErrorKind::NotFound.into()) };
    make_folder(parent)?;
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Ok(()) if cfg!(unix) => {
            restore_owner_bits(folder)?;
            copy(&File::open(folder)?, &parent.metadata()?)
        }
        // Another program was faster.
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    }
}

/// Gives the owner of the new `folder` what the umask has taken away.
#[cfg(unix)]
fn restore_owner_bits(folder: &Path) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    if folder.symlink_metadata()?.mode() & 0o700 == 0o700 {
        return Ok(());
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn restore_owner_bits(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns whether each user may write to `folder`.
#[cfg(unix)]
pub(super) fn may_all_write(folder: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(folder) & 0o002 != 0
}

#[cfg(not(unix))]
pub(super) fn may_all_write(_folder: &Metadata) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::auth_dot_json::AuthDotJson;
    use crate::child;
    use crate::environment::Environment;
    use crate::storage::{AuthStorage, FileStorage, Swap};

    /// Has a store make all that it makes in `folder`, which is not there yet.
    async fn make_everything(folder: &Path) {
        let store = FileStorage::new(folder, Environment::default());
        let record = AuthDotJson::parse(br#"{"OPENAI_API_KEY": "sk-new"}"#).expect("a record");
        let lock = store.try_lock().await.expect("a lock").expect("free");
        lock.set_ledger(&lock.ledger()).await.expect("written");
        drop(store.ready(100).await.expect("ready"));
        let version = store.load().await.expect("read").version;
        assert_eq!(store.commit(&version, &record).await.expect("saved"), Swap::Done);
        std::fs::write(store.path(), "no login").expect("written");
        let broken = store.load_to_replace().await.expect("read").version;
        assert_eq!(store.commit(&broken, &record).await.expect("saved"), Swap::Done);
        let _temp = store.ready(100).await.expect("ready");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).expect("listed").flatten() {
            let name = entry.file_name();
            assert_eq!(entry.metadata().expect("there").mode() & 0o777, 0o600, "{name:?}");
            names.push(name);
        }
        assert_eq!(names.len(), 7, "{names:?}");
        assert_eq!(folder.metadata().expect("made").mode() & 0o777, 0o700);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn g7_an_access_control_list_lets_no_group_in() {
        use rustix::fs::{XattrFlags, setxattr};

        // The owner and user 1234 read and write, the group may do nothing: the mode is 0660.
        let entries = [(1, 6, !0), (2, 6, 1234), (4, 0, !0), (16, 6, !0), (32, 0, !0_u32)];
        let entry = |(tag, permissions, id): (u16, u16, u32)| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let list = [vec![2, 0, 0, 0], entries.map(entry).concat()].concat();
        let file = tempfile::NamedTempFile::new().expect("a file");
        let name = "system.posix_acl_access";
        if setxattr(file.path(), name, &list, XattrFlags::empty()).is_err() {
            // The file system has no such lists.
            return;
        }
        let found = file.path().metadata().expect("there");
        assert_eq!(found.mode() & 0o777, 0o660);
        let sharing = Sharing::of(file.path(), Some(&found));
        assert_eq!((sharing.bits, sharing.is_on_purpose), (Some(0), false));
        // Nor does a new file that has one become a group's.
        let shared = Sharing { group: found.gid(), bits: Some(0o060), is_on_purpose: true };
        for share in [share, share_lock] {
            share(file.as_file(), file.path(), shared).expect_err("its list would be opened");
            let mode = file.path().metadata().expect("there").mode();
            assert_eq!(mode & 0o777, 0o600, "it is closed");
        }
    }

    #[test]
    fn g7_all_files_are_their_owners_alone_and_usable_whatever_the_umask_is() {
        const TEST: &str = "storage::ownership::tests::\
            g7_all_files_are_their_owners_alone_and_usable_whatever_the_umask_is";
        if let Some(umask) = child::role() {
            let place = tempfile::tempdir().expect("a folder");
            child::set_umask(&umask);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.expect("a runtime").block_on(make_everything(&place.path().join("home")));
            return;
        }
        for umask in ["0", "22", "777"] {
            let output = child::play(&mut child::playing(TEST, umask));
            assert!(output.status.success(), "{umask}: {output:?}");
        }
    }
}
