//! Links that lead nowhere, and folders that go away.

use std::os::unix::fs::symlink;

use serde_json::json;

use super::scene::Scene;
use crate::contender::Language;
use crate::torture::Trial;

/// A link to the record: what it leads to is replaced, the link stays.
pub(super) fn link(language: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let target = scene.beside().join("real.json");
    std::fs::rename(scene.file(), &target).expect("moved");
    symlink(&target, scene.file()).expect("linked");
    let mut contender = scene.contender(language);
    scene.serve(&mut contender, trial);
    let is_link = scene.file().symlink_metadata().is_ok_and(|file| file.is_symlink());
    trial.check(is_link, || "the link was replaced".to_owned());
    trial.tried += 1;
}

/// A single mounted file that its host replaces while the token is being redeemed: the pair is kept
/// until the new file is mounted, and saved there.
pub(super) fn mount_replaced_during_the_exchange(language: Language, trial: &mut Trial) {
    let scene = Scene::with_mounted_file();
    let mut contender = scene.contender(language);
    let answer = scene.request(&mut contender, || {
        let new = scene.folder().join("new");
        std::fs::copy(scene.file(), &new).expect("copied");
        std::fs::rename(new, scene.file()).expect("replaced");
    });
    scene.check_served(&answer, trial);
    trial.check(answer["pending_save"] == true, || format!("saved to nowhere: {answer}"));
    let namespace = scene.namespace.as_ref().expect("a mount");
    let host = scene.beside().canonicalize().expect("it is there");
    // Even while the refresh has the file open.
    let remount = format!("umount -l \"$1\"; mount --bind {}/auth.json \"$1\"", host.display());
    namespace.run(&remount, &scene.home().join("auth.json"));
    scene.check_saved(&mut contender, trial);
    trial.tried += 1;
}

/// Links in a circle: a clear error, for who starts and for who runs.
pub(super) fn link_loop(language: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let mut contender = scene.contender(language);
    let other = scene.home().join("other.json");
    let text = std::fs::read(scene.file()).expect("a record");
    std::fs::remove_file(scene.file()).expect("removed");
    symlink(&other, scene.file()).expect("linked");
    symlink(scene.file(), &other).expect("linked");
    let words = ["auth.json", "symbolic links"];
    scene.refuse(&mut contender, "store_unavailable", &words, trial);
    let answer = scene.start(language, &json!({})).answer();
    scene.check_refusal(&answer, "store_unavailable", &words, trial);
    std::fs::remove_file(scene.file()).expect("removed");
    std::fs::write(scene.file(), text).expect("written");
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// A link to nothing is no login; one appears through it.
pub(super) fn dangling_link(language: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let target = scene.beside().join("real.json");
    let text = std::fs::read(scene.file()).expect("a record");
    std::fs::remove_file(scene.file()).expect("removed");
    symlink(&target, scene.file()).expect("linked");
    let mut contender = scene.contender(language);
    contender.go();
    let answer = contender.answer();
    trial.check(answer["error"] == "logged_out", || format!("a login from nowhere: {answer}"));
    std::fs::write(&target, text).expect("written");
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// A home that is removed, and made again with another login of the account, while a manager is
/// idle.
pub(super) fn removed_while_idle(language: Language, trial: &mut Trial) {
    let mut scene = Scene::new();
    let mut contender = scene.contender(language);
    scene.serve(&mut contender, trial);
    std::fs::remove_dir_all(scene.home()).expect("removed");
    scene.realm.run("kill_access", &json!({}));
    let home = scene.home().display().to_string();
    scene.refuse(&mut contender, "store_unavailable", &[&home, "gone"], trial);
    std::fs::create_dir(scene.home()).expect("made");
    scene.sign_in();
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// The same while its token is being redeemed. The lock went with the folder: nothing more is
/// redeemed under it.
pub(super) fn removed_during_the_exchange(language: Language, trial: &mut Trial) {
    let mut scene = Scene::new();
    let mut contender = scene.contender(language);
    let text = scene.login();
    let answer = scene.request(&mut contender, || {
        std::fs::remove_dir_all(scene.home()).expect("removed");
        std::fs::create_dir(scene.home()).expect("made");
        std::fs::write(scene.file(), text).expect("written");
    });
    scene.check_refusal(&answer, "store_unavailable", &["lock", "nothing is redeemed"], trial);
    trial.check(scene.presented() == 1, || "redeemed without a lock".to_owned());
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// A home that is away for a moment, as on a volume that is mounted again, while its token is being
/// redeemed: the pair is used, and saved when the home is back.
pub(super) fn away_during_the_exchange(language: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let mut contender = scene.contender(language);
    let aside = scene.beside().join("aside");
    let answer = scene.request(&mut contender, || {
        std::fs::rename(scene.home(), &aside).expect("moved");
    });
    scene.check_served(&answer, trial);
    trial.check(answer["pending_save"] == true, || format!("saved to nowhere: {answer}"));
    std::fs::rename(&aside, scene.home()).expect("moved back");
    scene.check_saved(&mut contender, trial);
    trial.tried += 1;
}
