use std::fs;
use std::os::unix::fs::symlink;

use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{CWD, mkfifoat};
use tempfile::TempDir;

use super::*;
use crate::storage::temp_file;

const LOGIN: &str = r#"{"tokens": {"access_token": "a", "refresh_token": "r"}}"#;
const NEWER: &str = r#"{"tokens": {"access_token": "b", "refresh_token": "s"}}"#;
const EARLIER: &str = r#"{"tokens": {"access_token": "a", "refresh_token": ""}}"#;
const CURRENT: &str = r#"{"tokens": {"access_token": "c", "refresh_token": ""}}"#;

/// What a sink's temp file may be called.
const MOVED: &str = ".codex-auth-sink-0a1b2c.tmp";

struct Scene(TempDir);

impl Scene {
    fn new(files: &[(&str, &str)]) -> Self {
        let scene = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            scene.write(name, text);
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    fn open(&self) -> Folder {
        try_open(self.0.path()).expect("opened")
    }

    /// All files, by their names.
    fn files(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.0.path()).expect("a folder").flatten();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a text");
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        let text = |name: &String| fs::read_to_string(self.path(name)).expect("a text");
        names.into_iter().map(|name| (name.clone(), text(&name))).collect()
    }

    fn assert_files(&self, expected: &[(&str, &str)]) {
        let files = self.files();
        let files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
        assert_eq!(files, expected);
    }
}

fn try_open(path: &Path) -> Result<Folder> {
    Folder::open(&path.to_str().expect("a text").parse().expect("options"))
}

/// What is done to the files of a folder.
struct Watch(OwnedFd);

impl Watch {
    fn start(scene: &Scene, what: WatchFlags) -> Self {
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("a watch");
        inotify::add_watch(&watch, scene.0.path(), what).expect("watched");
        Self(watch)
    }

    fn names(&self) -> Vec<String> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut names = Vec::new();
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
            names.push(name.unwrap_or_default());
        }
        names
    }
}

#[test]
fn g13_an_empty_file_is_a_login_that_a_program_is_about_to_write() {
    let scene = Scene::new(&[(COPY, EARLIER)]);
    let folder = scene.open();
    for _ in 0..2 {
        // An old CLI truncates the file, and writes then.
        let mut written = File::create(scene.path(COPY)).expect("truncated");
        assert_eq!(folder.put(CURRENT.as_bytes()).expect("put"), Put::Later);
        written.write_all(LOGIN.as_bytes()).expect("written");
        assert_eq!(folder.put(CURRENT.as_bytes()).expect("put"), Put::Login);
        scene.assert_files(&[(COPY, LOGIN)]);
    }
}

#[test]
fn what_stays_empty_is_replaced() {
    let scene = Scene::new(&[(COPY, "")]);
    let folder = scene.open();
    while folder.put(CURRENT.as_bytes()).expect("put") == Put::Later {
        scene.assert_files(&[(COPY, "")]);
    }
    scene.assert_files(&[(COPY, CURRENT)]);
}

#[test]
fn g13_a_login_is_not_even_touched() {
    for expected in [Put::Login, Put::Folder] {
        let scene = Scene::new(&[]);
        match expected {
            Put::Login => scene.write(COPY, LOGIN),
            _ => fs::create_dir(scene.path(COPY)).expect("created"),
        }
        let folder = scene.open();
        let what = WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE;
        let watch = Watch::start(&scene, what);
        assert_eq!(folder.put(CURRENT.as_bytes()).expect("put"), expected);
        assert_eq!(watch.names(), [""; 0], "{expected:?}");
    }
}

#[test]
fn g13_a_start_removes_no_temp_file_of_another_program() {
    let theirs = ".codex-auth-sdk-a1B2c3.tmp";
    assert!(temp_file::is_name(theirs.as_ref()), "a store makes such files");
    let files = [(theirs, LOGIN), (COPY, EARLIER)];
    let scene = Scene::new(&files);
    scene.open();
    scene.assert_files(&files);
}

#[test]
fn g13_a_start_puts_back_a_login_that_an_agent_had_moved() {
    for (files, expected) in [
        (&[(COPY, CURRENT), (MOVED, LOGIN)][..], &[(COPY, LOGIN)][..]),
        (&[(MOVED, LOGIN)], &[(COPY, LOGIN)]),
        // Which of the two is needed, their user knows.
        (&[(MOVED, LOGIN), (COPY, NEWER)], &[(MOVED, LOGIN), (COPY, NEWER)]),
        (&[(COPY, CURRENT), (MOVED, EARLIER)], &[(COPY, CURRENT)]),
        (&[(MOVED, ""), (COPY, CURRENT)], &[(MOVED, ""), (COPY, CURRENT)]),
    ] {
        let scene = Scene::new(files);
        scene.open();
        scene.assert_files(expected);
    }
}

#[test]
fn g13_a_link_in_the_place_of_the_folder_is_not_followed() {
    let scene = Scene::new(&[]);
    fs::create_dir(scene.path("elsewhere")).expect("created");
    symlink("elsewhere", scene.path("sink")).expect("linked");
    for path in ["sink", "sink/", "sink/."] {
        let error = try_open(&scene.path(path)).expect_err(path);
        assert_eq!(error.code(), "invalid_option");
        assert!(error.to_string().contains("name the folder itself"), "{error}");
    }
    try_open(&scene.path("elsewhere/")).expect("a folder");
}

/// To open a device can have an effect.
#[test]
fn g13_what_is_no_plain_file_is_not_opened() {
    let scene = Scene::new(&[]);
    let folder = scene.open();
    for name in ["auth.lock", COPY] {
        let mode = Mode::RUSR | Mode::WUSR;
        mkfifoat(CWD, scene.path(name), mode).expect("a pipe");
    }
    let watch = Watch::start(&scene, WatchFlags::OPEN);
    assert!(folder.try_lock().is_none());
    assert!(!folder.holds(CURRENT.as_bytes()).expect("looked"));
    assert_eq!(watch.names(), [""; 0]);
}

/// A program stores a login after the agent has looked, and another one before that is back in place.
#[test]
fn g13_what_comes_between_two_renames_is_not_lost() {
    let scene = Scene::new(&[(COPY, LOGIN)]);
    let folder = scene.open();
    let (name, made) = folder.make(CURRENT.as_bytes()).expect("made");
    assert_eq!(folder.put_in_place(&name).expect("put"), Put::Login);
    scene.assert_files(&[(&name, CURRENT), (COPY, LOGIN)]);
    folder.folder.rename(&name, COPY, Rename::Exchange).expect("exchanged");
    scene.write("newer", NEWER);
    fs::rename(scene.path("newer"), scene.path(COPY)).expect("renamed");
    folder.give_back(&name, made.st_ino).expect("given back");
    scene.assert_files(&[(&name, LOGIN), (COPY, NEWER)]);
}

#[test]
fn g13_a_login_that_has_not_got_its_place_back_stays() {
    let scene = Scene::new(&[]);
    let folder = scene.open();
    let (name, made) = folder.make(CURRENT.as_bytes()).expect("made");
    scene.write("login", LOGIN);
    fs::rename(scene.path("login"), scene.path(&name)).expect("renamed");
    folder.clear(&name, made.st_ino, false);
    scene.assert_files(&[(&name, LOGIN)]);
    folder.clear(&name, made.st_ino, true);
    let (name, made) = folder.make(CURRENT.as_bytes()).expect("made");
    folder.clear(&name, made.st_ino, false);
    scene.assert_files(&[]);
}

#[test]
fn g13_a_login_whose_place_was_emptied_meanwhile_gets_it_back() {
    let scene = Scene::new(&[]);
    let folder = scene.open();
    scene.write(MOVED, LOGIN);
    folder.give_back(MOVED, 0).expect("given back");
    scene.assert_files(&[(COPY, LOGIN)]);
}
