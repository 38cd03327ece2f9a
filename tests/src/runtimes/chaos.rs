//! Threads with any runtime, or none, use the managers of one login and drop what they began at
//! random, while the server kills access tokens.

use std::sync::Mutex;
use std::time::Duration;

use codex_auth_sdk::{AuthManager, CodexAuth, UnauthorizedRecoveryDecision};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::drive::{block_on, poll_while};
use super::world::{Store, World, is_welcome};
use crate::chance::Chance;
use crate::issuer::{Issuer, Realm};
use crate::torture::Trial;

/// Access tokens that the server kills in one world: more rotations of young tokens than this are
/// put off by design.
const KILLS: usize = 4;

const CALLS: u64 = 12;

/// What a thread runs its futures on.
enum Driver {
    Nothing,
    Runtime(Runtime),
}

impl Driver {
    fn of(kind: usize) -> Self {
        let mut builder = match kind % 3 {
            0 => return Self::Nothing,
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        Self::Runtime(builder.worker_threads(2).enable_all().build().expect("a runtime"))
    }

    /// Begins one call, and drops it or its whole runtime after a random while.
    fn run(self, realm: &Realm, manager: &AuthManager, chance: &Chance) -> Option<Self> {
        let auth = manager.auth().expect("signed in");
        let future = call(realm.clone(), manager.clone(), auth, chance.below(6));
        let patience = chance.below(8);
        let runtime = match self {
            Self::Nothing => {
                poll_while(future, |polls| polls <= patience).unwrap_or_default();
                return Some(Self::Nothing);
            }
            Self::Runtime(runtime) => runtime,
        };
        match chance.below(4) {
            0 => runtime.block_on(future),
            1 => {
                drop(runtime.spawn(future));
                runtime.shutdown_background();
                return None;
            }
            2 => runtime.spawn(future).abort(),
            _ => {
                let bounded =
                    async { timeout(Duration::from_millis(patience as u64), future).await };
                runtime.block_on(bounded).unwrap_or_default();
            }
        }
        Some(Self::Runtime(runtime))
    }
}

/// Plays so many worlds, each with threads of its own.
///
/// # Panics
///
/// If a method fails.
#[must_use]
pub fn played(worlds: u64, seed: u64) -> Vec<Trial> {
    let issuer = Issuer::start().expect("an issuer");
    let mut trial = Trial::new("threads of every runtime that drop what they began");
    let mut grants = 0;
    for number in 0..worlds {
        let config = json!({"grant_latency_ms": 5});
        let world = World::new(&issuer, &format!("w{number}"), &config);
        let what = format!("world {number} of seed {seed}");
        play(&world, &mut trial, &what, seed.wrapping_add(number));
        trial.tried += 1;
        grants += world.realm.stats()["grants"].as_u64().unwrap_or(0);
    }
    trial.detail = format!("{grants} rotations");
    vec![trial]
}

fn play(world: &World, trial: &mut Trial, what: &str, seed: u64) {
    let managers = [Store::Ready, Store::Slow].map(|store| world.manager(store).0);
    let kills = Mutex::new(KILLS);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let manager = &managers[thread % managers.len()];
            let kills = &kills;
            scope.spawn(move || {
                let chance = Chance::new(seed.wrapping_mul(31).wrapping_add(thread as u64));
                let mut driver = Driver::of(thread);
                for _ in 0..CALLS {
                    let used = driver.run(&world.realm, manager, &chance);
                    driver = used.unwrap_or_else(|| Driver::of(thread));
                    kill(world, kills, chance.below(8) == 0);
                }
            });
        }
    });
    // What was begun and dropped goes on.
    for manager in &managers {
        let is_idle = block_on(manager.close(Duration::from_secs(60)));
        trial.check(is_idle, || format!("{what}: a refresh does not end"));
    }
    for manager in &managers {
        let is_well = block_on(get(&world.realm, manager));
        trial.check(is_well, || format!("{what}: the API refuses what a manager has"));
    }
    world.judge(trial, what);
}

fn kill(world: &World, kills: &Mutex<usize>, is_wanted: bool) {
    let mut left = kills.lock().expect("no panic");
    if is_wanted && *left > 0 {
        *left -= 1;
        world.realm.run("kill_access", &json!({}));
    }
}

async fn call(realm: Realm, manager: AuthManager, auth: CodexAuth, which: usize) {
    let recovery = manager.unauthorized_recovery();
    match which {
        0 => manager.fresh_auth().await.map(drop),
        1 => manager.reload().await.map(|_| ()),
        2 => manager.sync_from_storage(&auth).await.map(|_| ()),
        3 => Ok(manager.close(Duration::from_millis(3)).await).map(|_| ()),
        // As after a request: a good token is not to be rotated.
        _ if is_welcome(&realm, &auth) => Ok(()),
        _ => manager.recover_from_unauthorized(&auth, &recovery).await.map(|_| ()),
    }
    .expect("no error");
}

/// One request, with at most two retries; whether it came through.
async fn get(realm: &Realm, manager: &AuthManager) -> bool {
    let recovery = manager.unauthorized_recovery();
    while let Some(auth) = manager.fresh_auth().await.expect("fresh") {
        if is_welcome(realm, &auth) {
            return true;
        }
        let decision = manager.recover_from_unauthorized(&auth, &recovery).await;
        if decision.expect("recovered") != UnauthorizedRecoveryDecision::Retry {
            break;
        }
    }
    false
}
