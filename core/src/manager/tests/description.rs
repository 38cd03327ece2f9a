//! What a description says, and what it never does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::recover;
use super::world::{Fault, World};
use crate::auth_dot_json::AuthDotJson;
use crate::description::{ChosenBy, Description, TokenState};
use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::process::Program;
use crate::secret::Secret;
use crate::storage::{Attendance, Keyring, KeyringItem, KeyringStorage};
use crate::token_endpoint::{RefusalReason, TokenEndpoint};
use crate::{AuthManager, AuthManagerBuilder, RefreshMode, StoreKind};

/// The login of `world` with an id token that has an email address.
fn login_with_email(world: &World) -> AuthDotJson {
    let mut record = world.issuer.login("acct-a");
    let claims = json!({"email": "a@example.com", "https://api.openai.com/auth": {
        "chatgpt_account_id": "acct-a", "chatgpt_user_id": "user-a", "chatgpt_plan_type": "pro",
    }});
    let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()));
    record.tokens.as_mut().expect("tokens").id_token = Secret::new(token);
    record
}

fn in_home(world: &World, home: &Path) -> AuthManagerBuilder {
    AuthManager::builder()
        .codex_home(home)
        .store(StoreKind::File)
        .token_endpoint(Arc::clone(&world.issuer) as Arc<dyn TokenEndpoint>)
        .environment(world.environment.clone())
}

/// All that can be written of `description`.
fn written(description: &Description) -> String {
    format!("{description}\n{description:?}\n{description:#?}\n{}", description.to_json())
}

#[tokio::test(start_paused = true)]
async fn a_description_says_who_got_the_tokens_and_has_none_of_them() {
    let world = World::new();
    let home = tempfile::tempdir().expect("a folder");
    let record = login_with_email(&world);
    std::fs::write(home.path().join("auth.json"), record.to_json().expose()).expect("written");
    let manager = in_home(&world, home.path()).account_id("acct-a").build().await.expect("opened");
    let first = manager.auth().expect("signed in");
    assert_eq!(first.email(), Some("a@example.com"));
    let before = manager.describe().await;
    let known = before.login.as_ref().and_then(|login| login.ledger.as_ref()).expect("a token");
    assert_eq!((known.refreshed_at, &known.refreshed_by), (None, &None));
    assert_eq!(known.state, TokenState::Good);
    assert!(!written(&before).contains("example.com"), "{before}");

    recover(&manager, &first).await.expect("recovered");
    let refreshed_at = world.environment.clock.now();
    let other = in_home(&world, home.path()).refresh(RefreshMode::Never).build().await;
    for (manager, refresh) in [(&manager, "auto"), (&other.expect("opened"), "never")] {
        let description = manager.describe().await;
        assert_eq!(description.refresh, refresh);
        assert_eq!(
            (description.store.kind, description.store.chosen_by),
            ("file", ChosenBy::Option)
        );
        assert_eq!(description.clock_ahead_seconds, Some(0));
        let login = description.login.as_ref().expect("a login");
        assert_eq!(login.account_id.as_deref(), Some("acct-a"));
        assert_eq!(login.mode, "chatgpt");
        let end = login.expires_at.expect("an end");
        let due = (refresh == "auto").then(|| end - TimeDelta::minutes(10));
        assert_eq!((login.due_at, login.is_expired), (due, false));
        let known = login.ledger.as_ref().expect("a token");
        assert_eq!(known.refreshed_by, Some(Program::current()));
        let at = known.refreshed_at.expect("a time");
        assert!((refreshed_at - at).abs() < TimeDelta::seconds(1), "{at}");

        let written = written(&description);
        let second = manager.auth().expect("signed in");
        for tokens in [&first, &second].map(|auth| auth.managed_tokens().expect("a login")) {
            for secret in [&tokens.access_token, &tokens.id_token, &tokens.refresh_token] {
                assert!(!written.contains(secret.expose()), "{written}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_description_names_each_file_and_the_process_that_holds_its_lock() {
    use std::os::unix::fs::{MetadataExt, symlink};

    use crate::description::LockPurpose;
    use crate::environment::Environment;
    use crate::storage::{AuthStorage, FileStorage};

    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("there");
    let at = |name: &str| folder.join(name).display().to_string();
    for name in ["real", "accounts"] {
        std::fs::create_dir(folder.join(name)).expect("made");
    }
    symlink(folder.join("real"), folder.join("home")).expect("linked");
    symlink("../accounts/a.json", folder.join("real/auth.json")).expect("linked");
    let home = folder.join("home");
    let manager = in_home(&world, &home).build().await.expect("opened");
    let places = manager.describe().await.places;
    let file = places.auth_json.expect("a file");
    assert!(file.is_link && !file.is_there, "{file:?}");
    assert_eq!((file.mode, &*file.resolved), (None, &*at("accounts/a.json")));

    let record = login_with_email(&world).to_json();
    std::fs::write(folder.join("accounts/a.json"), record.expose()).expect("written");
    manager.reload().await.expect("read");
    let store = FileStorage::new(&home, Environment::default());
    let lock = store.try_lock().await.expect("a lock").expect("free");
    let description = manager.describe().await;
    drop(lock);
    let places = &description.places;
    let [home, file] =
        [&places.home, &places.auth_json].map(|place| place.as_ref().expect("there"));
    assert_eq!((&*home.path, &*home.resolved), (&*at("home"), &*at("real")));
    assert_eq!((&*file.path, &*file.resolved), (&*at("home/auth.json"), &*at("accounts/a.json")));
    let found = folder.join("accounts/a.json").metadata().expect("there");
    assert_eq!(file.mode, Some(format!("{:04o}", found.mode() & 0o7777)));
    assert_eq!((file.owner, file.group), (Some(found.uid()), Some(found.gid())));
    assert!(file.is_link && file.is_there && !file.is_mount_point && home.is_there);
    assert_eq!(places.ledger.as_deref(), Some(&*at("accounts/.codex-auth-sdk.json")));
    let locks: Vec<_> = places.locks.iter().map(|lock| (&*lock.path, lock.purpose)).collect();
    let expected = [
        (at("home/.codex-auth-sdk.lock"), LockPurpose::Refresh),
        (at("accounts/.codex-auth-sdk.lock"), LockPurpose::Refresh),
        (at("accounts/a.json"), LockPurpose::Refresh),
        (at("home/auth.lock"), LockPurpose::Save),
        (at("accounts/a.json.lock"), LockPurpose::Save),
    ];
    assert_eq!(locks, expected.each_ref().map(|(path, purpose)| (&**path, *purpose)));
    for lock in &places.locks {
        let is_held = lock.purpose == LockPurpose::Refresh;
        let holder = lock.holder.as_ref().map(|holder| holder.pid);
        assert_eq!(holder, is_held.then_some(Program::current().pid), "{lock:?}");
    }
    assert!(description.to_string().contains("held by process "), "{description}");
    let after = manager.describe().await.places;
    assert!(after.locks.iter().all(|lock| lock.holder.is_none()), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_description_says_what_is_known_against_the_refresh_token() {
    let state = async |faults: Vec<Fault>| {
        let world = World::new();
        let manager = world.manager().await;
        world.issuer.fail_with(faults);
        let auth = manager.auth().expect("signed in");
        recover(&manager, &auth).await.expect_err("no tokens");
        let description = manager.describe().await;
        assert_eq!(
            (description.store.kind, description.store.chosen_by),
            ("custom", ChosenBy::Option)
        );
        let known = description.login.and_then(|login| login.ledger).expect("a token");
        let rest =
            known.not_before.map(|until| (until - world.environment.clock.now()).num_seconds());
        (known.state, known.refused, rest)
    };
    let refused = state(vec![Fault::Refused(RefusalReason::Invalidated)]).await;
    assert_eq!(refused, (TokenState::Refused, Some("invalidated"), None));
    let (resting, refused, rest) = state(vec![Fault::PutOff(200)]).await;
    assert_eq!((resting, refused), (TokenState::Resting, None));
    assert!(rest.is_some_and(|rest| (190..=200).contains(&rest)), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_description_tells_that_tokens_are_not_saved_and_that_nothing_is_stored() {
    let world = World::new();
    let manager = world.manager().await;
    world.store.failing_commits.store(1, Ordering::SeqCst);
    recover(&manager, &manager.auth().expect("signed in")).await.expect("recovered");
    assert!(manager.describe().await.pending_save);
    world.pass(Duration::from_secs(60)).await;
    world.store.memory.replace(None);
    manager.reload().await.expect("read");
    let empty = manager.describe().await;
    assert_eq!((&empty.login, empty.pending_save), (&None, false));
    assert!(empty.to_string().contains("login: none"), "{empty}");
    let json: Value = serde_json::from_str(&empty.to_json()).expect("JSON");
    assert_eq!((&json["version"], &json["login"]), (&json!(1), &Value::Null));
    assert_eq!(json["store"]["chosen_by"], "option");
}

/// A keyring that is locked, and counts how often its user is asked to unlock it.
#[derive(Debug, Default)]
struct LockedKeyring {
    asked: AtomicUsize,
    attendance: Attendance,
}

fn locked<T>() -> Result<T> {
    Err(Error::new(ErrorKind::KeyringLocked, "the keyring is locked"))
}

impl Keyring for LockedKeyring {
    fn get<'a>(&'a self, _: &'a KeyringItem) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async { locked() })
    }

    fn set<'a>(&'a self, _: &'a KeyringItem, _: &'a Secret) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { locked() })
    }

    fn delete<'a>(&'a self, _: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { locked() })
    }

    fn unlock<'a>(&'a self, _: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { locked() })
    }

    fn attendance(&self) -> &Attendance {
        &self.attendance
    }
}

#[tokio::test(start_paused = true)]
async fn a_description_tells_that_the_keyring_is_locked_and_asks_nobody() {
    let world = World::new();
    let home = tempfile::tempdir().expect("a folder");
    let keyring = Arc::new(LockedKeyring::default());
    let given = Arc::clone(&keyring) as Arc<dyn Keyring>;
    let storage = Arc::new(KeyringStorage::new(home.path(), given, world.environment.clone()));
    let item = storage.item();
    let manager = world.builder().storage(storage).build_unread().expect("opened");
    let found = manager.describe().await.places.keyring.expect("an item");
    assert_eq!((&*found.service, &*found.account), (item.service(), item.account()));
    assert!(!found.is_reached && !found.is_there, "{found:?}");
    assert!(found.problem.is_some_and(|problem| problem.contains("locked")));
    assert_eq!(keyring.asked.load(Ordering::SeqCst), 0);
}
