//! Disks without room.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::scene::Scene;
use crate::contender::Language;
use crate::torture::Trial;

/// What takes the room.
#[derive(Debug)]
struct Ballast(PathBuf);

impl Ballast {
    /// Fills the file system of `folder`.
    fn fill(folder: &Path) -> Self {
        let path = folder.join("ballast");
        let mut file = File::create(&path).expect("created");
        let full = std::iter::repeat_with(|| file.write_all(&[b'x'; 512])).find_map(Result::err);
        assert_eq!(full.expect("it was full").kind(), ErrorKind::StorageFull);
        Self(path)
    }

    /// Uses up the files that the file system of `folder` can have.
    fn use_inodes(folder: &Path) -> Self {
        let path = folder.join("ballast");
        std::fs::create_dir(&path).expect("created");
        let mut names = 0..;
        let full = std::iter::repeat_with(|| {
            File::create(path.join(names.next().unwrap_or_default().to_string()))
        });
        let full = full.map(|file| file.map(drop)).find_map(Result::err);
        assert_eq!(full.expect("it was full").kind(), ErrorKind::StorageFull);
        Self(path)
    }

    /// Makes room again.
    fn free(self) {
        let remove =
            if self.0.is_dir() { std::fs::remove_dir_all } else { std::fs::remove_file::<&Path> };
        remove(&self.0).expect("removed");
    }
}

/// Full before the token would be spent: it is not, until there is room.
pub(super) fn full(language: Language, trial: &mut Trial) {
    let scene = Scene::on_tmpfs("size=64k");
    let mut contender = scene.contender(language);
    let ballast = Ballast::fill(scene.folder());
    let home = scene.home().display().to_string();
    scene.refuse(&mut contender, "store_unavailable", &[&home, "free some space"], trial);
    ballast.free();
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// Full once the token is spent: what was made ready serves the save.
pub(super) fn full_after_the_exchange(language: Language, trial: &mut Trial) {
    let scene = Scene::on_tmpfs("size=64k");
    let mut contender = scene.contender(language);
    let answer = scene.request(&mut contender, || drop(Ballast::fill(scene.folder())));
    scene.check_served(&answer, trial);
    trial.check(answer["pending_save"] == false, || format!("not saved: {answer}"));
    scene.check_good(trial);
    trial.tried += 1;
}

/// No file more can be made: before the exchange nothing is spent, after it nothing is lost.
pub(super) fn out_of_inodes(language: Language, trial: &mut Trial) {
    let scene = Scene::on_tmpfs("size=64k,nr_inodes=16");
    let mut contender = scene.contender(language);
    let ballast = Ballast::use_inodes(scene.folder());
    scene.refuse(&mut contender, "store_unavailable", &["free some space"], trial);
    ballast.free();
    let answer = scene.request(&mut contender, || drop(Ballast::use_inodes(scene.folder())));
    scene.check_served(&answer, trial);
    trial.check(answer["pending_save"] == false, || format!("not saved: {answer}"));
    scene.check_good(trial);
    trial.tried += 1;
}

/// A single mounted file on a full disk of its host, which the new record does not fit: nothing is
/// spent where that can be known, and nothing torn where it comes too late.
pub(super) fn full_host(language: Language, trial: &mut Trial) {
    let mut scene = Scene::with_mounted_file();
    write_page(&mut scene);
    let mut contender = scene.contender(language);
    let ballast = Ballast::fill(scene.folder());
    scene.refuse(&mut contender, "store_unavailable", &["auth.json", "free some space"], trial);
    ballast.free();
    let mut ballast = None;
    let answer = scene.request(&mut contender, || ballast = Some(Ballast::fill(scene.folder())));
    scene.check_served(&answer, trial);
    trial.check(answer["pending_save"] == true, || format!("it cannot be saved: {answer}"));
    let text = std::fs::read_to_string(scene.file()).expect("readable");
    let is_whole = serde_json::from_str::<Value>(&text).is_ok();
    trial.check(is_whole, || format!("torn: {text:?}"));
    ballast.expect("it was held").free();
    scene.check_saved(&mut contender, trial);
    trial.tried += 1;
}

/// Stores a login whose record takes a whole page, and whose next one will be longer.
fn write_page(scene: &mut Scene) {
    scene.realm.run("configure", &json!({"access_iat": false}));
    let mut record: Value = serde_json::from_str(&scene.login()).expect("a record");
    scene.realm.run("configure", &json!({"access_iat": true}));
    record["padding"] = "".into();
    let bare = serde_json::to_string_pretty(&record).expect("JSON").len();
    record["padding"] = "x".repeat(4096 - bare).into();
    std::fs::write(scene.file(), serde_json::to_string_pretty(&record).expect("JSON"))
        .expect("written");
}

/// Room for the record but not for what the lock's next holders are told: a stale writer must not
/// make them present a spent token.
pub(super) fn no_room_for_the_lineage(language: Language, trial: &mut Trial) {
    let scene = Scene::on_tmpfs("size=12k");
    let stale = std::fs::read_to_string(scene.file()).expect("a record");
    let mut contender = scene.contender(language);
    contender.go();
    let answer = contender.answer();
    if answer["status"] == 200 {
        scene.check_saved(&mut contender, trial);
        std::fs::write(scene.file(), stale).expect("written");
        let mut other = scene.contender(language);
        other.go();
        drop(other.answer());
        scene.check_unspent(trial);
    } else {
        scene.check_refusal(&answer, "store_unavailable", &["free some space"], trial);
        trial.check(scene.presented() == 0, || "a token was spent".to_owned());
    }
    trial.tried += 1;
}
