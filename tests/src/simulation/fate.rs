//! What happens to programs: crashes, stops, logins, foreign programs, tokens that the server kills.

use std::sync::Arc;
use std::time::Duration;

use super::executor::ProcessId;
use super::foreign;
use super::loss::Fortune;
use super::program;
use super::program::{LAST_REQUESTS, SETTLING};
use super::world::World;

/// No call takes longer, whatever happens to its process.
const LONGEST_CALL: Duration = Duration::from_secs(1000);

/// Starts everything; the run ends with the time that this returns.
pub(super) fn begin(world: &Arc<World>) -> Duration {
    let hazards = &world.hazards;
    let people = &hazards.people;
    foreign::sign_in(world, people[0], false);
    {
        let world = Arc::clone(world);
        world.clone().spawn(world.fate, async move {
            world.pause(100, 100).await;
            for _ in 0..world.hazards.managers {
                program::start(&world);
            }
        });
    }
    let kills: Vec<_> = (0..hazards.kills).map(|_| sometime(world)).collect();
    for at in &kills {
        plan(world, *at, |world| {
            world.state().kill_access();
            world.bell.send_modify(|rings| *rings += 1);
        });
    }
    // Much happens while tokens are redeemed, for then it does most harm.
    let times = |count: usize| {
        let soon = Duration::from_secs(3);
        let time = |_| match kills.as_slice() {
            [] => sometime(world),
            _ if world.chance.happens(0.5) => sometime(world),
            kills => world.chance.pick(kills) + world.chance.between(Duration::ZERO, soon),
        };
        (0..count).map(time).collect::<Vec<_>>()
    };
    for at in times(hazards.revocations) {
        plan(world, at, |world| world.state().revoke_stored("the server revoked it"));
    }
    for at in times(hazards.manners.outages) {
        let starts = at.saturating_sub(world.chance.millis(0, 5000));
        plan(world, starts, |world| world.state().is_down = true);
        let ends = at + world.chance.millis(5000, 100_000);
        plan(world, ends, |world| world.state().is_down = false);
    }
    for at in times(hazards.crashes) {
        plan(world, at, crash);
    }
    for at in times(hazards.stops) {
        plan(world, at, stop);
    }
    for at in times(hazards.sign_ins) {
        plan(world, at, |world| {
            let person = world.chance.pick(&world.hazards.people);
            let is_old = world.chance.happens(world.hazards.old_sign_ins);
            foreign::sign_in(world, person, is_old);
        });
    }
    for at in times(hazards.foreign_turns) {
        let kind = world.chance.pick(&hazards.foreign);
        plan(world, at, move |world| foreign::start(world, kind));
    }
    let watch = Arc::clone(world);
    world.spawn(world.fate, async move { look_after(&watch).await });
    hazards.horizon + SETTLING + LAST_REQUESTS
}

fn sometime(world: &Arc<World>) -> Duration {
    world.chance.between(Duration::from_secs(1), world.hazards.horizon)
}

/// Lets something happen at a time.
fn plan(world: &Arc<World>, at: Duration, act: impl FnOnce(&Arc<World>) + Send + 'static) {
    let world = Arc::clone(world);
    world.clone().spawn(world.fate, async move {
        world.executor.sleep(at).await;
        if world.goes_on() {
            act(&world);
        }
    });
}

fn crash(world: &Arc<World>) {
    if let Some(process) = victim(world) {
        world.kill(process);
    }
}

/// One of the programs: who holds the refresh lock, if chance is unkind.
fn victim(world: &Arc<World>) -> Option<ProcessId> {
    let state = world.state();
    let any = (!state.running.is_empty()).then(|| world.chance.pick(&state.running));
    let holder = state.disk.locked_by().filter(|_| world.chance.happens(0.5));
    holder.or(any)
}

fn stop(world: &Arc<World>) {
    let Some(process) = victim(world) else { return };
    world.state().stopped(process);
    world.executor.stop(process);
    let world = Arc::clone(world);
    world.clone().spawn(world.fate, async move {
        let longest = if world.chance.happens(0.2) { 300_000 } else { 60_000 };
        world.pause(10, longest).await;
        world.state().resumed(process);
        world.executor.resume(process);
    });
}

/// Finds calls that do not end, and signs in again where the login is lost.
async fn look_after(world: &Arc<World>) {
    loop {
        world.pause(60_000, 60_000).await;
        let mut state = world.state();
        let now = state.now();
        let oldest = state.calls.first_key_value().map(|(began, process)| (*began, *process));
        if let Some(((began, _), process)) = oldest {
            state.check(began + LONGEST_CALL > now, |_| {
                format!("a call of process {process} has not ended since {began:?}")
            });
        }
        state.check_hold();
        drop(state);
        if world.goes_on() {
            renew(world);
        }
    }
}

/// The user signs in again, if nobody is signed in any more.
fn renew(world: &Arc<World>) {
    let mut state = world.state();
    let is_recent = state.changed + Duration::from_secs(60) > state.now();
    let is_empty = state.disk.content().is_none_or(|content| content.owners.is_none());
    match state.fortune(false) {
        _ if is_recent => return,
        Fortune::Lost(loss) => return state.check(false, |_| loss),
        Fortune::Excepted(why) => *state.tally.excepted.entry(why).or_default() += 1,
        Fortune::Good if is_empty => {}
        Fortune::Good => return,
    }
    drop(state);
    let person = world.chance.pick(&world.hazards.people);
    foreign::sign_in(world, person, false);
}
