//! The encrypted store on a keyring that works, is locked, gone or holds another passphrase, and
//! files as the Codex CLI writes them. Keys are derived on threads of their own, so time passes.
#![cfg(unix)]

mod auto;
mod broken;
mod machine;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{AuthStorage, KeyringItem, Swap, Version, conformance};
use codex_auth_sdk::{AuthManager, LogoutOptions, Secret};
use codex_auth_tests::issuer::Issuer;
use codex_auth_tests::log::Log;
use codex_auth_tests::memory_keyring::Condition;
use codex_auth_tests::options::with;
use serde_json::json;

use self::machine::{Machine, commit, load, login, parse, secrets, token};

#[tokio::test]
async fn an_encrypted_file_conforms() {
    let machine = Machine::new();
    conformance::run(|| Arc::new(machine.store())).await;
    let names = std::fs::read_dir(machine.home.path().join("secrets")).expect("listed");
    assert_eq!(names.count(), 1, "no temp file is left");
    let auto = Machine::new();
    conformance::run(|| Arc::new(auto.auto_store())).await;
}

#[tokio::test]
async fn reads_what_the_cli_wrote_and_keeps_what_is_not_the_login() {
    let machine = Machine::with_login(&login("cli"));
    let store = machine.store();
    assert_eq!(token(&load(&store).await), "cli");
    machine.put_auth_json(&login("left over"));
    assert_eq!(commit(&store, "ours").await, Swap::Done);
    let contents = machine.contents();
    assert_eq!(contents["version"], 1);
    assert_eq!(contents["secrets"]["global/OTHER"], "not ours");
    let written = contents["secrets"]["global/CODEX_AUTH"].as_str().expect("a text");
    assert!(written.contains("\"ours\"") && !written.contains('\n'), "{written}");
    assert_eq!(machine.passphrase().as_deref(), Some("correct horse"));
    assert_eq!(machine.auth_json(), None, "its place is taken");
    let mode = machine.path().metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_logout_leaves_the_other_secrets_and_the_passphrase() {
    let machine = Machine::with_login(&login("cli"));
    let direct = KeyringItem::login(&machine.home.path().canonicalize().expect("a folder"));
    machine.keyring.put(&direct, Secret::new(login("left over")));
    machine.put_auth_json(&login("left over"));
    let store = machine.store();
    let version = load(&store).await.version;
    assert_eq!(store.delete(&version).await.expect("deleted"), Swap::Done);
    assert_eq!(machine.contents(), json!({"version": 1, "secrets": {"global/OTHER": "not ours"}}));
    assert_eq!((machine.keyring.peek(&direct), machine.auth_json()), (None, None), "as the CLI");
    assert_eq!(machine.passphrase().as_deref(), Some("correct horse"));
    assert!(load(&machine.store()).await.record.is_none());
    let (before, version) = (machine.bytes(), load(&store).await.version);
    assert_eq!(store.delete(&version).await.expect("nothing to do"), Swap::Done);
    assert_eq!(machine.bytes(), before);
}

#[tokio::test]
async fn the_first_save_makes_a_passphrase_and_others_use_it() {
    let machine = Machine::new();
    let [first, second] = [machine.store(), machine.store()];
    assert_eq!(first.delete(&Version::absent()).await.expect("nothing to do"), Swap::Done);
    assert_eq!((machine.passphrase(), machine.bytes()), (None, None), "made when it is needed");
    let [one, two] = ["one", "two"].map(|token| parse(&login(token)));
    let absent = Version::absent();
    let lock = File::create(machine.home.path().join("auth.lock")).expect("opened");
    lock.try_lock().expect("free");
    // Both find no passphrase, and wait for the lock to make one.
    let (left, right, ()) =
        tokio::join!(first.commit(&absent, &one), second.commit(&absent, &two), async {
            lock.unlock().expect("unlocked");
        });
    let outcomes = [left.expect("commits"), right.expect("commits")];
    assert!(outcomes.contains(&Swap::Done) && outcomes.contains(&Swap::Conflict), "{outcomes:?}");
    assert_eq!(machine.passphrase().expect("made").len(), 44, "32 bytes as base64");
    let winner = if outcomes[0] == Swap::Done { "one" } else { "two" };
    assert_eq!(token(&load(&machine.store()).await), winner, "by the passphrase in the keyring");
}

#[tokio::test]
async fn g10_one_key_is_derived_for_each_file_and_none_for_our_own() {
    let machine = Machine::with_login(&login("cli"));
    let store = machine.store();
    assert!(store.load_now().is_none(), "to open it takes waiting");
    let loads = [(); 8].map(|()| load(&store));
    let [a, b, c, d, e, f, g, h] = loads;
    drop(tokio::join!(a, b, c, d, e, f, g, h));
    assert_eq!(store.derivations(), 1, "who waits for one needs none");
    assert_eq!(token(&store.load_now().expect("known").expect("loads")), "cli");
    assert_eq!(commit(&store, "ours").await, Swap::Done);
    assert_eq!(token(&load(&store).await), "ours");
    assert_eq!(store.derivations(), 2, "one to write, none to read that again");
}

#[tokio::test]
async fn g5_a_save_after_readiness_derives_nothing_and_needs_no_keyring() {
    let machine = Machine::with_login(&login("cli"));
    let store = machine.store();
    let version = load(&store).await.version;
    let ready = store.ready(4096).await.expect("ready");
    let derived = store.derivations();
    machine.keyring.set_condition(Condition::Stuck);
    let new = parse(&login("new"));
    assert_eq!(store.commit(&version, &new).await.expect("saved"), Swap::Done);
    assert_eq!(store.derivations(), derived);
    drop(ready);
    machine.keyring.set_condition(Condition::Works);
    assert_eq!(machine.contents()["secrets"]["global/OTHER"], "not ours");
    let header = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').nth(1).map(<[u8]>::to_vec);
    let first = header(&machine.bytes().expect("a file"));
    assert_eq!(commit(&store, "newer").await, Swap::Done);
    assert_ne!(header(&machine.bytes().expect("a file")), first, "a key of its own for each file");
}

#[tokio::test]
async fn a_locked_keyring_does_without_where_the_passphrase_is_known() {
    let machine = Machine::with_login(&login("cli"));
    machine.keyring.set_condition(Condition::Locked);
    let known = machine.store();
    let version = load(&known).await.version;
    assert_eq!(machine.keyring.unlocks(), 1, "its user unlocks it");
    machine.keyring.set_condition(Condition::Sealed);
    let new = parse(&login("new"));
    drop(known.ready(100).await.expect("it has the passphrase"));
    assert_eq!(known.commit(&version, &new).await.expect("saved"), Swap::Done);
    machine.put_file("correct horse", &secrets(&login("cli's next")));
    assert_eq!(token(&load(&known).await), "cli's next");
    let fresh = machine.store();
    assert_eq!(fresh.load().await.expect_err("locked").code(), "keyring_locked");
    assert_eq!(fresh.ready(100).await.expect_err("locked").code(), "keyring_locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn g8_no_commit_lock_is_held_while_a_key_is_derived() {
    let machine = Machine::with_login(&login("cli"));
    let store = Arc::new(machine.store().with_work_factor(14));
    let version = load(&*store).await.version;
    let derived = store.derivations();
    for lock in ["auth.lock", "auth.json.lock"] {
        let lock = File::create(machine.home.path().join(lock)).expect("opened");
        lock.try_lock().expect("free");
        let before = store.derivations();
        let saving = tokio::spawn({
            let (store, version) = (Arc::clone(&store), version.clone());
            async move { store.commit(&version, &parse(&login("new"))).await }
        });
        // It derives although the lock is not to be had: it does not wait for it first.
        while store.derivations() == before {
            assert!(!saving.is_finished(), "it gave up waiting for {lock:?}");
            tokio::task::yield_now().await;
        }
        saving.abort();
        drop(saving.await);
        lock.unlock().expect("unlocked");
    }
    assert_eq!(store.derivations(), derived + 2);
}

#[tokio::test]
async fn a_save_that_comes_in_between_is_a_conflict() {
    let machine = Machine::with_login(&login("cli"));
    let store = Arc::new(machine.store());
    let version = load(&*store).await.version;
    let lock = File::create(machine.home.path().join("auth.json.lock")).expect("opened");
    lock.try_lock().expect("free");
    let derived = store.derivations();
    let saving = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(&version, &parse(&login("ours"))).await }
    });
    while store.derivations() == derived {
        assert!(!saving.is_finished(), "it gave up waiting");
        tokio::task::yield_now().await;
    }
    machine.put_file("correct horse", &secrets(&login("theirs")));
    lock.unlock().expect("unlocked");
    assert_eq!(saving.await.expect("no panic").expect("no error"), Swap::Conflict);
    assert_eq!(token(&load(&*store).await), "theirs");
}

#[tokio::test]
async fn a_manager_refreshes_and_signs_out() {
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    let login = realm.call("login", &json!({"name": "a", "access_age_s": 7200}));
    let machine = Machine::with_login(login["text"].as_str().expect("a record"));
    let url = realm.url();
    let open = || {
        AuthManager::builder()
            .codex_home(machine.home.path())
            .storage(Arc::new(machine.store_in(Environment::default())) as Arc<dyn AuthStorage>)
            .token_url(format!("{url}/oauth/token"))
            .build()
    };
    let (manager, other) = (open().await.expect("built"), open().await.expect("built"));
    let (left, right) = tokio::join!(manager.fresh_auth(), other.fresh_auth());
    let tokens = [left, right].map(|auth| {
        let auth = auth.expect("no error").expect("a login");
        auth.access_token().expect("a token").expose().to_owned()
    });
    assert_eq!(tokens[0], tokens[1]);
    let stats = realm.call("stats", &json!({}));
    assert_eq!((&stats["grants"], &stats["max_redemptions"]), (&json!(1), &json!(1)), "{stats}");
    let stored = machine.contents()["secrets"]["global/CODEX_AUTH"].to_string();
    assert!(stored.contains(&tokens[0]));
    assert!(
        manager
            .logout(with(LogoutOptions::default(), |it| it.revoke = false))
            .await
            .expect("signed out")
            .removed
    );
    assert_eq!(machine.contents(), json!({"version": 1, "secrets": {"global/OTHER": "not ours"}}));
}

#[tokio::test]
async fn g9_neither_the_passphrase_nor_a_token_is_printed() {
    let log = Log::of_everything();
    let machine = Machine::with_login("");
    let mut newer = secrets(&login("refresh-1"));
    newer["newer"] = "not ours either".into();
    machine.put_file("correct horse", &newer);
    let store = machine.store();
    let loaded = load(&store).await;
    let ready = store.ready(100).await.expect("ready");
    let mut said = format!("{store:?} {ready:?} {loaded:?}");
    assert_eq!(commit(&store, "refresh-2").await, Swap::Done);
    machine.put_file("another passphrase", &secrets(&login("refresh-3")));
    said += &format!("{store:?} {:?}", store.load().await.expect_err("closed"));
    machine.put_file("correct horse", &secrets("refresh-4"));
    said += &format!("{store:?} {:?}", store.load().await.expect_err("no login"));
    said += &log.text();
    for secret in ["correct horse", "another passphrase", "refresh-", "not ours"] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
}

#[tokio::test]
async fn an_item_with_the_whole_login_is_neither_read_nor_removed_by_a_save() {
    let machine = Machine::new();
    let direct = KeyringItem::login(&machine.home.path().canonicalize().expect("a folder"));
    machine.keyring.put(&direct, Secret::new(login("from before")));
    let store = machine.store();
    assert!(load(&store).await.record.is_none(), "as the CLI");
    assert_eq!(commit(&store, "new").await, Swap::Done);
    assert!(machine.keyring.peek(&direct).is_some());
}
