//! Copies of the login in other homes of this user. A refresh by a program of one home spends the
//! refresh token of them all.

use std::path::{Path, PathBuf};

use crate::CodexAuth;
use crate::description::StorePlaces;
use crate::environment::Environment;
use crate::storage::{AuthStorage as _, FileStorage, Fingerprint, Ledger, real_path};

/// What the names of homes begin with, in the user's folder.
const PREFIX: &str = ".codex";

/// Returns the files in other homes that hold a copy of the login `auth`, which is at `places`, or what
/// became of a copy.
pub(super) async fn of(auth: &CodexAuth, places: &StorePlaces) -> Vec<String> {
    let mut copies = Vec::new();
    let (Some(token), Some(home)) = (auth.refresh_fingerprint(), &places.home) else {
        return copies;
    };
    let own = places.auth_json.as_ref().map(|file| Path::new(&file.resolved));
    let known = FileStorage::new(&home.path, Environment::default()).ledger();
    for home in homes() {
        let other = FileStorage::new(&home, Environment::default());
        let is_own = real_path::of(other.path()).is_ok_and(|path| Some(&*path) == own);
        if !is_own && holds_copy(&other, token, &known).await {
            copies.push(other.path().display().to_string());
        }
    }
    copies
}

/// Returns the folders of this user that look like homes, in the order of their names.
fn homes() -> Vec<PathBuf> {
    let entries = std::env::home_dir().and_then(|folder| folder.read_dir().ok());
    let paths = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_home = |path: &PathBuf| {
        let name = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        name && path.join("auth.json").is_file()
    };
    let mut homes: Vec<_> = paths.filter(is_home).collect();
    homes.sort();
    homes
}

/// Returns whether the login in `other` is that of `token`, or descends from it, or it from that one.
async fn holds_copy(other: &FileStorage, token: Fingerprint, known: &Ledger) -> bool {
    let Ok(loaded) = other.load().await else { return false };
    let Some(found) = loaded.record.and_then(|record| record.refresh_fingerprint()) else {
        return false;
    };
    let is_known_by =
        |ledger: &Ledger| ledger.descends(found, token) || ledger.descends(token, found);
    is_known_by(known) || is_known_by(&other.ledger())
}
