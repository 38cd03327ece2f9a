//! Files and folders that may not be written, read or given away.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::scene::Scene;
use super::tracer::{Tracer, own_thread};
use crate::contender::{Contender, Language};
use crate::privilege::{ORDINARY_USER, as_member, as_ordinary_user, is_root};
use crate::torture::Trial;

/// A record that is marked read-only, which binds root too.
pub(super) fn read_only_file(language: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let mut contender = scene.contender(language);
    set_mode(scene.file(), 0o400);
    scene.refuse(&mut contender, "store_read_only", &["auth.json", "chmod u+w"], trial);
    set_mode(scene.file(), 0o600);
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// A home that is mounted read-only, before there are lock files and after.
pub(super) fn read_only_mount(language: Language, trial: &mut Trial) {
    let mut scene = Scene::on_tmpfs("size=64k");
    let mut contender = scene.contender(language);
    for _ in 0..2 {
        remount(&scene, "ro");
        let home = scene.home().display().to_string();
        scene.refuse(&mut contender, "store_read_only", &[&home, "writable"], trial);
        remount(&scene, "rw");
        scene.serve(&mut contender, trial);
        scene.expire();
        trial.tried += 1;
    }
}

/// A home whose folder an ordinary user may not change, before there are lock files and after.
pub(super) fn read_only_folder(_: Language, trial: &mut Trial) {
    let mut scene = Scene::new();
    let mut contender = ordinary(&scene);
    contender.wait_until_ready();
    for _ in 0..2 {
        set_mode(scene.home(), 0o500);
        let home = scene.home().display().to_string();
        scene.refuse(&mut contender, "store_read_only", &[&home, "writable"], trial);
        set_mode(scene.home(), 0o700);
        scene.serve(&mut contender, trial);
        scene.expire();
        trial.tried += 1;
    }
}

/// A record that an ordinary user may not read: an error for who starts, and for who needs it.
pub(super) fn unreadable_file(_: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let mut contender = ordinary(&scene);
    contender.wait_until_ready();
    set_mode(scene.file(), 0);
    let words = ["auth.json", "make it readable"];
    scene.refuse(&mut contender, "store_unavailable", &words, trial);
    let answer = ordinary(&scene).answer();
    scene.check_refusal(&answer, "store_unavailable", &words, trial);
    set_mode(scene.file(), 0o600);
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// A folder that is closed between the exchange and the save: the request comes through with what
/// is in memory, and it is saved once the folder is open.
pub(super) fn folder_closed_after_the_exchange(_: Language, trial: &mut Trial) {
    for mode in [0o500, 0] {
        let scene = Scene::new();
        let mut contender = ordinary(&scene);
        contender.wait_until_ready();
        let answer = scene.request(&mut contender, || set_mode(scene.home(), mode));
        scene.check_served(&answer, trial);
        let is_closed = mode == 0;
        trial.check(answer["pending_save"] == is_closed, || {
            format!("a folder that may only not be changed lets the file be: {answer}")
        });
        set_mode(scene.home(), 0o700);
        scene.check_saved(&mut contender, trial);
        trial.tried += 1;
    }
}

/// A record of another user, which an ordinary one may replace but not give back. Only root can
/// make one.
pub(super) fn another_owner(_: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let mut contender = ordinary(&scene);
    contender.wait_until_ready();
    give(scene.file(), 0);
    for mode in [0o644, 0o666] {
        set_mode(scene.file(), mode);
        scene.refuse(&mut contender, "store_read_only", &["writable for this user"], trial);
        trial.tried += 1;
    }
    give(scene.file(), ORDINARY_USER);
    scene.serve(&mut contender, trial);
}

/// A record of a group that an ordinary user is not in. Only root can make one.
pub(super) fn another_group(_: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let mut contender = ordinary(&scene);
    contender.wait_until_ready();
    chown(scene.file(), None, Some(0)).expect("given away");
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// A file system that lets no program change a mode, an owner or a group.
pub(super) fn no_modes(language: Language, trial: &mut Trial) {
    let mut scene = Scene::new();
    let mut contender = scene.contender(language);
    scene.serve(&mut contender, trial);
    scene.expire();
    let thread = own_thread(contender.process().id());
    let fault = "fchmod,fchown,chmod,chown,fchmodat,fchownat:error=EPERM";
    let tracer = Tracer::attach(&thread, Some(fault));
    scene.serve(&mut contender, trial);
    drop(tracer);
    trial.tried += 1;
}

/// A container of root on the folder of its host's user: all that it makes is that user's, who can
/// go on with it. Only root can be one.
pub(super) fn root_container(language: Language, trial: &mut Trial) {
    let mut scene = Scene::new();
    let mut host = ordinary(&scene);
    let mut container = scene.contender(language);
    scene.serve(&mut container, trial);
    host.wait_until_ready();
    for round in 0..4 {
        scene.expire();
        scene.serve(if round % 2 == 0 { &mut host } else { &mut container }, trial);
        for entry in std::fs::read_dir(scene.home()).expect("readable").flatten() {
            let file = entry.metadata().expect("it is there");
            trial.check((file.uid(), file.gid()) == (ORDINARY_USER, ORDINARY_USER), || {
                format!("{} is {}:{}'s", entry.path().display(), file.uid(), file.gid())
            });
        }
        trial.tried += 1;
    }
}

/// A home that the owner of the login shares with a group: the owner's programs refresh the login, those
/// of the group use it, and all that is in the home stays open to them, and to no stranger. Only root can
/// make one.
pub(super) fn shared_home(_: Language, trial: &mut Trial) {
    const GROUP: u32 = 54321;
    let mut scene = Scene::new();
    for (path, mode) in [(scene.home(), 0o770), (scene.file(), 0o660)] {
        chown(path, Some(ORDINARY_USER), Some(GROUP)).expect("given");
        set_mode(path, mode);
    }
    let program = accessible(Language::Rust.command().get_program().as_ref(), scene.beside());
    let [mut owner, mut member] = [ORDINARY_USER, 5001].map(|user| {
        let command = as_member(user, GROUP, &Command::new(&program));
        scene.start_by(command, Language::Rust, &json!({}))
    });
    for contender in [&mut owner, &mut member] {
        contender.wait_until_ready();
    }
    for round in 0..3 {
        if round > 0 {
            let words = ["only user 1000, the owner, may do that"];
            scene.refuse(&mut member, "store_read_only", &words, trial);
        }
        scene.serve(&mut owner, trial);
        scene.serve(&mut member, trial);
        for entry in std::fs::read_dir(scene.home()).expect("readable").flatten() {
            let file = entry.metadata().expect("it is there");
            let found = (file.uid(), file.gid(), file.mode() & 0o777);
            trial.check(found == (ORDINARY_USER, GROUP, 0o660), || {
                format!("after round {round} {} is {found:?}", entry.path().display())
            });
        }
        scene.expire();
        trial.tried += 1;
    }
}

/// A contender in Rust as an ordinary user, to whom the home is given.
fn ordinary(scene: &Scene) -> Contender {
    give(scene.home(), ORDINARY_USER);
    give(scene.file(), ORDINARY_USER);
    let program = accessible(Language::Rust.command().get_program().as_ref(), scene.beside());
    scene.start_by(as_ordinary_user(&Command::new(program)), Language::Rust, &json!({}))
}

/// A copy of `program` where every user can reach it.
fn accessible(program: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join("contender");
    if !copy.exists() {
        set_mode(folder, 0o755);
        std::fs::copy(program, &copy).expect("copied");
    }
    copy
}

/// Gives `path` to a user, as only root can.
fn give(path: &Path, user: u32) {
    if is_root() {
        chown(path, Some(user), Some(user)).expect("given");
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
}

fn remount(scene: &Scene, mode: &str) {
    let namespace = scene.namespace.as_ref().expect("a mount");
    namespace.run(&format!("mount -o remount,bind,{mode} \"$1\""), scene.home());
}
