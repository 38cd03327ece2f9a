//! A program that ends in the middle of an exchange, in the way that it is told. Usage: `leaver WAY
//! CODEX_HOME ISSUER_URL`. It ends once the issuer holds its request, or in the middle of a read or
//! of a guardian's pause, and marks `leaving` when it does; `exit_once_fresh` ends as soon as it
//! has a snapshot of a login that is due.

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::KeyringStorage;
use codex_auth_sdk::{AuthManager, bindings};
use codex_auth_tests::issuer::Realm;
use codex_auth_tests::memory_keyring::Condition;
use codex_auth_tests::memory_keyring::MemoryKeyring;
use serde_json::json;
use shutdown_hooks::add_shutdown_hook;
use tokio::runtime::Builder;

static MANAGER: OnceLock<AuthManager> = OnceLock::new();
static REALM: OnceLock<Realm> = OnceLock::new();

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [way, home, url] = arguments.as_slice() else {
        return Err("usage: leaver WAY CODEX_HOME ISSUER_URL".into());
    };
    let realm = REALM.get_or_init(|| Realm::at(url).expect("a realm"));
    let manager = AuthManager::builder().codex_home(home).token_url(format!("{url}/oauth/token"));
    let manager = manager.build_now()?;
    match way.as_str() {
        "return" => begin(&manager, realm),
        "static" => begin(MANAGER.get_or_init(|| manager), realm),
        "panic" => {
            begin(&manager, realm);
            panic!("on purpose");
        }
        "exit" => {
            begin(&manager, realm);
            std::process::exit(7);
        }
        "exit_once_fresh" => {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(manager.fresh_auth())?;
            std::process::exit(7);
        }
        "exit_of_a_thread" => {
            let leaving = std::thread::spawn(move || {
                begin(&manager, realm);
                std::process::exit(7);
            });
            drop(leaving.join());
        }
        "dropped_runtime" => {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            drop(runtime.spawn({
                let manager = manager.clone();
                async move { manager.refresh_token(&manager.auth()?).await.ok().flatten() }
            }));
            leave_while_held(realm);
            drop(runtime);
        }
        "has_waited" => {
            begin(&manager, realm);
            assert!(!bindings::finish(Duration::from_millis(1)), "the reply is held");
        }
        "guarding" => {
            // There as long as the process is.
            std::mem::forget(manager.keep_fresh());
            assert!(add_shutdown_hook(mark_leaving), "it is registered");
        }
        "reading" => read_what_never_answers(home),
        way => return Err(format!("unknown way to leave: {way}").into()),
    }
    Ok(ExitCode::from(3))
}

/// Starts an exchange for which nobody waits.
fn begin(manager: &AuthManager, realm: &Realm) {
    let auth = manager.auth().expect("signed in");
    let mut refreshing = Box::pin(manager.refresh_token(&auth));
    let is_over = refreshing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    assert!(!is_over, "a refresh takes a request");
    leave_while_held(realm);
}

/// Starts a read of a keyring that does not answer, for which nobody waits.
fn read_what_never_answers(home: &str) {
    let keyring = MemoryKeyring::default();
    let store = KeyringStorage::new(home, Arc::new(keyring.clone()), Environment::default());
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let manager = AuthManager::builder().storage(Arc::new(store)).build();
    let manager = runtime.block_on(manager).expect("a manager");
    keyring.set_condition(Condition::Stuck);
    let mut reading = Box::pin(manager.reload());
    let is_over = reading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    assert!(!is_over, "the keyring is stuck");
    assert!(add_shutdown_hook(mark_leaving), "it is registered");
}

/// What is registered now runs before whatever the exchange has registered.
fn leave_while_held(realm: &Realm) {
    drop(realm.wait(&json!({"held": 1})));
    assert!(add_shutdown_hook(mark_leaving), "it is registered");
}

extern "C" fn mark_leaving() {
    if let Some(realm) = REALM.get() {
        realm.run("mark", &json!({"name": "leaving"}));
    }
}
