//! What somebody else who may write to the folder can plant there. Every file is either used as the
//! plain file it is or named in a clear error: nothing hangs, nothing outside the folder is made,
//! written or given away, and no token is spent.
#![cfg(unix)]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::FileStorage;
use codex_auth_sdk::{AuthManager, Error, LogoutOptions, Secret, StoreKind};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::log::Log;
use serde_json::json;
use tempfile::TempDir;
use tracing_subscriber::util::SubscriberInitExt;

/// `nobody`, in the place of another user.
const NOBODY: u32 = 65534;

const AUTH_JSON: &str = "auth.json";
const OUR_LOCK: &str = ".codex-auth-sdk.lock";
const LEDGER: &str = ".codex-auth-sdk.json";
const THEIR_LOCKS: [&str; 2] = ["auth.lock", "auth.json.lock"];

/// Puts something in the place of a file.
type Plant = fn(&Path);

/// A home with a login that must be refreshed, and a folder that is none of its business.
struct Place {
    issuer: Issuer,
    home: TempDir,
    outside: TempDir,
}

impl Place {
    fn new() -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let login = issuer.realm("").call("login", &json!({"name": "a", "access_age_s": 7200}));
        let (home, outside) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::write(home.path().join(AUTH_JSON), login["text"].as_str().expect("a record"))
            .expect("written");
        Self { issuer, home, outside }
    }

    fn realm(&self) -> Realm {
        self.issuer.realm("")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.outside.path().join(name)
    }

    /// What a program comes to that needs a fresh token.
    fn refresh(&self) -> Result<(), Error> {
        let (home, url) = (self.home.path().to_owned(), self.realm().url());
        within_a_minute(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let builder =
                    AuthManager::builder().codex_home(home).token_url(format!("{url}/oauth/token"));
                let manager = builder.build().await?;
                manager.fresh_auth().await.map(drop)
            })
        })
    }

    /// Nothing was spent, and there is a text that helps: it says what is wrong, and what to do.
    fn assert_refused(&self, name: &str, code: &str, what: &str) {
        let error = self.refresh().expect_err(name);
        let text = error.to_string();
        assert_eq!(error.code(), code, "{name}: {text}");
        for part in [name, what, "move it away"] {
            assert!(text.contains(part), "{name}: {part:?} in {text:?}");
        }
        assert_eq!(self.realm().stats()["requests"], 0, "{name}");
    }

    /// The store is in order and the login good.
    fn assert_refreshed(&self) {
        self.refresh().expect("refreshed");
        let stored = fs::read_to_string(self.at(AUTH_JSON)).expect("a record");
        assert_eq!(self.realm().call("live", &json!({"text": stored}))["refresh"], true);
        assert_eq!(self.realm().stats()["grants"], 1);
    }
}

/// Fails where `act` hangs. Its thread is left behind then; the test's process ends anyway.
fn within_a_minute<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    drop(std::thread::spawn(move || drop(sender.send(act()))));
    receiver.recv_timeout(Duration::from_secs(60)).expect("it hangs")
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("Linux").uid() == 0
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect()
}

#[test]
fn a_lock_planted_as_a_dangling_link_makes_no_file_elsewhere() {
    for name in THEIR_LOCKS.into_iter().chain([OUR_LOCK]) {
        let place = Place::new();
        if is_root() {
            // The owner of the folder would be given what is made.
            chown(place.home.path(), Some(NOBODY), Some(NOBODY)).expect("given away");
        }
        symlink(place.outside("made"), place.at(name)).expect("planted");
        place.assert_refused(name, "store_unavailable", "symbolic link");
        assert_eq!(names_in(place.outside.path()), [""; 0], "{name}");
    }
}

#[test]
fn what_is_behind_a_link_of_another_user_is_left_alone() {
    if !is_root() {
        return;
    }
    for is_home_linked in [false, true] {
        let place = Place::new();
        let users = tempfile::tempdir().expect("a user's folder");
        let (home, precious) = (users.path().join("home"), place.at(AUTH_JSON));
        let link = if is_home_linked {
            symlink(place.home.path(), &home).expect("planted");
            home.clone()
        } else {
            fs::create_dir(&home).expect("made");
            chown(&home, Some(NOBODY), None).expect("given away");
            symlink(&precious, home.join(AUTH_JSON)).expect("planted");
            home.join(AUTH_JSON)
        };
        lchown(link, Some(NOBODY), None).expect("given away");
        chown(users.path(), Some(NOBODY), None).expect("given away");
        let before = (names_in(place.home.path()), fs::read(&precious).expect("there"));
        let url = place.realm().url();
        let errors = within_a_minute(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let builder =
                    AuthManager::builder().codex_home(home).token_url(format!("{url}/oauth/token"));
                let manager = builder.build().await.expect("it can be read");
                [
                    manager.fresh_auth().await.map(drop),
                    manager.login_with_api_key(&Secret::new("sk")).await.map(drop),
                    manager.logout(LogoutOptions::default()).await.map(drop),
                ]
                .map(|done| done.expect_err("refused").to_string())
            })
        });
        for error in errors {
            assert!(error.contains("a symbolic link that another user may have made"), "{error}");
        }
        assert_eq!(before, (names_in(place.home.path()), fs::read(&precious).expect("there")));
        assert_eq!(place.realm().stats()["requests"], 0, "nothing was spent");
    }
}

#[test]
fn our_lock_planted_as_a_link_is_not_written_through() {
    let place = Place::new();
    fs::write(place.outside("precious"), "precious").expect("written");
    symlink(place.outside("precious"), place.at(OUR_LOCK)).expect("planted");
    place.assert_refused(OUR_LOCK, "store_unavailable", "symbolic link");
    assert_eq!(fs::read_to_string(place.outside("precious")).expect("there"), "precious");
}

#[test]
fn a_link_to_a_file_of_ours_from_elsewhere_is_not_written_through() {
    for name in [OUR_LOCK, LEDGER] {
        let place = Place::new();
        fs::write(place.outside("precious"), "precious").expect("written");
        fs::hard_link(place.outside("precious"), place.at(name)).expect("planted");
        place.assert_refreshed();
        assert_eq!(fs::read_to_string(place.outside("precious")).expect("there"), "precious");
    }
}

#[test]
fn a_ledger_that_is_no_file_is_replaced_or_done_without() {
    let plants: [Plant; 5] = [
        make_fifo,
        |path| symlink("/dev/zero", path).expect("linked"),
        |path| symlink("/nowhere/at/all", path).expect("linked"),
        |path| drop(UnixListener::bind(path).expect("bound")),
        |path| fs::create_dir(path).expect("made"),
    ];
    for plant in plants {
        let place = Place::new();
        plant(&place.at(LEDGER));
        place.assert_refreshed();
        let found = fs::symlink_metadata(place.at(LEDGER)).expect("there");
        assert!(found.is_dir() || (found.is_file() && found.mode() & 0o777 == 0o600));
    }
}

#[test]
fn the_clis_locks_may_be_links_as_the_cli_has_it() {
    for name in THEIR_LOCKS {
        let place = Place::new();
        fs::write(place.outside("lock"), "whose").expect("written");
        symlink(place.outside("lock"), place.at(name)).expect("linked");
        place.assert_refreshed();
        assert_eq!(fs::read_to_string(place.outside("lock")).expect("there"), "whose");
    }
}

#[test]
fn what_is_no_file_is_named_and_nobody_waits_for_it() {
    let files = THEIR_LOCKS.into_iter().chain([AUTH_JSON, OUR_LOCK]);
    let plants: [(&str, Plant); 4] = [
        ("a pipe", make_fifo),
        ("a device", |path| symlink("/dev/zero", path).expect("linked")),
        ("a socket", |path| drop(UnixListener::bind(path).expect("bound"))),
        ("a folder", |path| fs::create_dir(path).expect("made")),
    ];
    for (name, (what, plant)) in files.flat_map(|name| plants.map(|plant| (name, plant))) {
        let place = Place::new();
        drop(fs::remove_file(place.at(name)));
        plant(&place.at(name));
        let what = if name == OUR_LOCK && place.at(name).is_symlink() { "link" } else { what };
        place.assert_refused(name, "store_unavailable", what);
    }
}

#[test]
fn a_config_that_is_no_file_is_named_too() {
    let place = Place::new();
    make_fifo(&place.at("config.toml"));
    let error = place.refresh().expect_err("refused");
    assert_eq!(error.code(), "invalid_option");
    assert!(error.to_string().contains("config.toml"), "{error}");
    fs::remove_file(place.at("config.toml")).expect("removed");
    let huge = File::create(place.at("config.toml")).expect("made");
    huge.set_len(1 << 40).expect("a hole");
    assert_eq!(place.refresh().expect_err("refused").code(), "invalid_option");
}

#[test]
fn a_file_of_any_size_is_refused_without_being_read() {
    for size in [100 << 20, 1 << 40] {
        let place = Place::new();
        let huge = File::create(place.at(AUTH_JSON)).expect("made");
        huge.set_len(size).expect("a hole");
        place.assert_refused(AUTH_JSON, "store_corrupt", "too large");
        assert_eq!(huge.metadata().expect("there").len(), size);
    }
}

#[test]
fn a_record_of_very_many_fields_is_read_at_once() {
    let place = Place::new();
    let fields: Vec<_> = (0..300_000).map(|field| format!("\"{field:x}\":0")).collect();
    let record = format!("{{\"OPENAI_API_KEY\":\"sk\",{}}}", fields.join(","));
    assert!(record.len() < 4 << 20, "small enough to be a login");
    fs::write(place.at(AUTH_JSON), record).expect("written");
    place.refresh().expect("an API key needs no refresh");
}

#[test]
fn leftovers_are_our_temp_files_and_nothing_else() {
    let place = Place::new();
    let (ours, link) = (".codex-auth-sdk-Abc123.tmp", ".codex-auth-sdk-Link00.tmp");
    let folder = ".codex-auth-sdk-Folder.tmp";
    let foreign = [
        ".codex-auth-sdk-.tmp",
        ".codex-auth-sdk-Abc12.tmp",
        ".codex-auth-sdk-Abc1234.tmp",
        ".codex-auth-sdk-Abc-23.tmp",
        ".codex-auth-sdk-notes-of-a-user.tmp",
        ".codex-auth-sdk-Abc123.tmp.bak",
        ".auth-Abc123",
    ];
    fs::write(place.outside("precious"), "precious").expect("written");
    fs::create_dir(place.at(folder)).expect("made");
    symlink(place.outside("precious"), place.at(link)).expect("planted");
    for name in foreign.into_iter().chain([ours]) {
        fs::write(place.at(name), name).expect("written");
    }
    place.assert_refreshed();
    assert!(!place.at(ours).exists(), "what a dead program left is removed");
    for name in foreign {
        assert_eq!(fs::read_to_string(place.at(name)).expect(name), name);
    }
    assert!(place.at(folder).is_dir() && place.at(link).is_symlink());
    assert_eq!(fs::read_to_string(place.outside("precious")).expect("there"), "precious");
}

#[test]
fn a_home_that_anybody_may_write_to_works_with_a_warning() {
    let place = Place::new();
    let log = Log::default();
    let writer = log.clone();
    let logging = tracing_subscriber::fmt().with_writer(move || writer.clone()).set_default();
    for (mode, warns) in [(0o755, false), (0o777, true), (0o1777, true)] {
        fs::set_permissions(place.home.path(), PermissionsExt::from_mode(mode)).expect("set");
        log.clear();
        drop(FileStorage::new(place.home.path(), Environment::default()));
        assert_eq!(log.text().contains("every user may write"), warns, "{mode:o}");
    }
    drop(logging);
    place.assert_refreshed();
    let mode = fs::metadata(place.at(AUTH_JSON)).expect("there").mode() & 0o777;
    assert_eq!(mode, 0o600, "but nobody else may read the tokens");
}

#[test]
fn an_ephemeral_store_looks_at_no_file() {
    let place = Place::new();
    fs::remove_file(place.at(AUTH_JSON)).expect("removed");
    for name in THEIR_LOCKS.into_iter().chain([AUTH_JSON, OUR_LOCK, LEDGER]) {
        make_fifo(&place.at(name));
    }
    let home = place.home.path().to_owned();
    within_a_minute(move || {
        let builder = AuthManager::builder().codex_home(home).store(StoreKind::Ephemeral);
        assert!(builder.build_now().expect("a manager").auth().is_none());
    });
}
