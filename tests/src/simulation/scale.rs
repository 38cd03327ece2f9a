//! How the cost of one recovery grows with the number of managers that share the login: all of them
//! find at the same moment that its access token is dead.

use std::sync::Arc;
use std::time::Duration;

use codex_auth_sdk::UnauthorizedRecoveryDecision;

use super::executor::Executor;
use super::foreign;
use super::hazards::Hazards;
use super::state::Manner;
use super::world::World;
use crate::chance::{Chance, mix};
use crate::torture::Trial;

/// When the token dies.
const DEATH: Duration = Duration::from_secs(60);

/// How long the holder of the refresh lock hangs where it does.
const HANG: Duration = Duration::from_secs(10);

const END: Duration = Duration::from_secs(600);

/// What one recovery of all managers cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    recovered: usize,
    redemptions: u64,
    reads: u64,
    looks: u64,
    lock_tries: u64,
    slowest: Duration,
}

/// One row for each number of managers; the redemptions must be the same in all. In every second
/// row the manager that redeems hangs for a while first, with the lock in its hand.
#[must_use]
pub fn trials(numbers: &[usize]) -> Vec<Trial> {
    let rows = numbers.iter().flat_map(|managers| [(*managers, false), (*managers, true)]);
    rows.map(|(managers, hangs)| trial(managers, hangs)).collect()
}

fn trial(managers: usize, hangs: bool) -> Trial {
    let cost = recover_all(managers, hangs);
    let how = if hangs { "one dead token, a hanging holder" } else { "one dead token" };
    let mut trial = Trial::new(format!("scale: {managers} managers, {how}"));
    trial.tried = u64::try_from(managers).expect("fits");
    trial.check(cost.recovered == managers, || format!("{} recovered", cost.recovered));
    trial.check(cost.redemptions == 1, || format!("{} redemptions", cost.redemptions));
    let each = |count: u64| count as f64 / managers as f64;
    trial.detail = format!(
        "{} redemption, {} store reads ({:.1} each), {:.0} looks and {:.0} lock tries each, slowest {:.0?}",
        cost.redemptions,
        cost.reads,
        each(cost.reads),
        each(cost.looks),
        each(cost.lock_tries),
        cost.slowest,
    );
    trial
}

fn recover_all(managers: usize, hangs: bool) -> Cost {
    let seed = mix(u64::try_from(managers).expect("fits"));
    let executor = Executor::new(seed);
    let chance = Arc::new(Chance::new(seed));
    let world = World::new(executor.clone(), chance, Hazards::none(managers), false);
    foreign::sign_in(&world, 0, false);
    for _ in 0..managers {
        start(&world);
    }
    let fate = Arc::clone(&world);
    world.spawn(world.fate, async move { kill(&fate, hangs).await });
    executor.run(END, || false);
    let state = world.state();
    let cost = Cost {
        recovered: usize::try_from(state.tally.recoveries).expect("fits"),
        redemptions: state.tally.redemptions,
        reads: state.disk.reads,
        looks: state.disk.looks,
        lock_tries: state.disk.lock_tries,
        slowest: state.tally.slowest,
    };
    drop(state);
    executor.clear();
    cost
}

/// A program that makes one request once the token is dead.
fn start(world: &Arc<World>) {
    let process = world.executor.start_process();
    world.state().started(process, Manner::default());
    let world = Arc::clone(world);
    world.clone().spawn(process, async move {
        world.pause(1000, 1000).await;
        let manager = world.builder(process, 0).build().await.expect("a login");
        world.executor.sleep(DEATH).await;
        let auth = manager.auth().expect("signed in");
        assert_eq!(world.state().sent(process, &auth), 401, "the token is dead");
        let call = world.begin(process, "recover");
        let recovery = manager.unauthorized_recovery();
        let decision = manager.recover_from_unauthorized(&auth, &recovery).await;
        call.end("ok");
        let is_retry = matches!(decision, Ok(UnauthorizedRecoveryDecision::Retry));
        let mut state = world.state();
        let is_accepted = manager.auth().is_some_and(|auth| state.sent(process, &auth) == 200);
        state.tally.recoveries += u64::from(is_retry && is_accepted);
    });
}

/// Kills the token, then forgets what was counted until then; may let who redeems hang.
async fn kill(world: &Arc<World>, hangs: bool) {
    world.executor.sleep(DEATH).await;
    world.state().kill_access();
    {
        let disk = &mut world.state().disk;
        (disk.reads, disk.looks, disk.lock_tries) = (0, 0, 0);
    }
    if !hangs {
        return;
    }
    let holder = loop {
        world.pause(100, 100).await;
        if let Some(holder) = world.state().disk.locked_by() {
            break holder;
        }
    };
    world.executor.stop(holder);
    world.executor.sleep(HANG).await;
    world.executor.resume(holder);
}
