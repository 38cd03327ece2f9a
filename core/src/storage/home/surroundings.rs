//! What is in the folder of a login, for a bug report: looked at only, never touched.

use std::path::Path;

use super::ledger_file::LedgerFile;
use super::{commit_locks, refresh_lock};
use crate::description::{LockPlace, LockPurpose, Place, StorePlaces};
use crate::storage::target::Target;
use crate::storage::{lock_holder, mounts, real_path};

/// Returns what is in `home`. Whether the refresh lock is also on `auth_json` itself, says
/// `with_auth_json`.
pub(super) fn describe(home: &Path, auth_json: &Path, with_auth_json: bool) -> StorePlaces {
    let mut places = StorePlaces { home: Some(place(home, home)), ..StorePlaces::default() };
    // Without the folder there is no file in it, and no lock.
    if !home.is_dir() {
        return places;
    }
    let target = match Target::resolve(auth_json) {
        Ok(target) => target,
        Err(error) => {
            places.auth_json = Some(place(auth_json, auth_json));
            places.problem = Some(error.to_string());
            return places;
        }
    };
    places.auth_json = Some(place(auth_json, &target.path));
    places.ledger = Some(text(&LedgerFile::in_folder(&target.folder).path()));
    let refresh = refresh_lock::files(home, &target)
        .chain((with_auth_json && target.existing.is_some()).then(|| target.path.clone()));
    let save = commit_locks::files(home, &target);
    places.locks = refresh
        .map(|path| lock(&path, LockPurpose::Refresh))
        .chain(save.map(|path| lock(&path, LockPurpose::Save)))
        .collect();
    places
}

/// Returns the place `path`, which leads to `target` if that is a link to nowhere.
pub(super) fn place(path: &Path, target: &Path) -> Place {
    let found = path.metadata().ok();
    let resolved = real_path::of(path).unwrap_or_else(|_| target.to_owned());
    let place = Place {
        path: text(path),
        is_there: found.is_some(),
        is_link: path.symlink_metadata().is_ok_and(|found| found.is_symlink()),
        is_mount_point: mounts::is_mount_point(&resolved),
        resolved: text(&resolved),
        ..Place::default()
    };
    match found {
        Some(found) => owned(place, &found),
        None => place,
    }
}

#[cfg(unix)]
fn owned(place: Place, found: &std::fs::Metadata) -> Place {
    use std::os::unix::fs::MetadataExt;

    Place {
        mode: Some(format!("{:04o}", found.mode() & 0o7777)),
        owner: Some(found.uid()),
        group: Some(found.gid()),
        ..place
    }
}

#[cfg(not(unix))]
fn owned(place: Place, _found: &std::fs::Metadata) -> Place {
    place
}

fn lock(path: &Path, purpose: LockPurpose) -> LockPlace {
    LockPlace { path: text(path), purpose, holder: lock_holder::find(path) }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
