//! Programs on many hosts that are killed at random instants.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Fate, Fleet, get_through};
use crate::chance::Chance;
use crate::contender::Contender;
use crate::crash::signal::{self, pause};
use crate::torture::Trial;

/// How many programs share a login.
const SIZE: usize = 3;

/// Kills so many programs at random instants of a refresh, on `lanes` logins side by side, half of them
/// with a grace window. The others go on, and so does one in the place of the killed. None where there
/// can be no database.
///
/// # Panics
///
/// If a thread of its own does.
#[must_use]
pub fn at_random(kills: usize, lanes: usize, seed: u64) -> Option<Trial> {
    thread::scope(|scope| {
        let lane = |lane: usize| {
            let share = kills / lanes + usize::from(lane < kills % lanes);
            let chance = Chance::new(seed + lane as u64);
            scope.spawn(move || kill(share, lane.is_multiple_of(2), &chance))
        };
        let lanes: Vec<_> = (0..lanes).map(lane).collect();
        let rows = lanes.into_iter().map(|lane| lane.join().expect("no panic"));
        let rows: Option<Vec<Trial>> = rows.collect();
        rows?.into_iter().reduce(|sum, row| sum + row)
    })
}

fn kill(kills: usize, has_grace: bool, chance: &Chance) -> Option<Trial> {
    let mut config = json!({"grant_latency_ms": 30});
    if has_grace {
        config["grace_ms"] = json!(600_000);
    }
    let mut row = Trial::new("a fleet: killed at random instants");
    let fleet = Fleet::new(&config)?;
    let mut contenders: Vec<Contender> = (0..SIZE).map(|_| fleet.start()).collect();
    // How long a refresh takes here; the first one of a process is the slowest.
    let mut span = Duration::ZERO;
    for _ in 0..2 {
        fleet.begin();
        let start = Instant::now();
        contenders.iter_mut().for_each(Contender::go);
        for contender in &mut contenders {
            drop(contender.answer());
        }
        span = start.elapsed();
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        row.tried += 1;
        fleet.begin();
        contenders.iter_mut().for_each(Contender::go);
        pause(chance.between(Duration::ZERO, span));
        let victim = chance.below(SIZE);
        signal::send("KILL", &[contenders[victim].process().id()]);
        let start = Instant::now();
        for (place, contender) in contenders.iter_mut().enumerate() {
            if place != victim {
                drop(contender.answer());
            }
        }
        contenders[victim].process().wait().expect("a child of ours");
        contenders[victim] = fleet.start();
        let through = contenders.iter_mut().try_for_each(get_through);
        let fate = fleet.judge(true);
        let is_lost = fate == Ok(Fate::Lost);
        row.check(fate.is_ok() && (through.is_ok() || is_lost), || {
            format!("{fate:?}, {through:?}")
        });
        row.excepted += u64::from(fate.is_ok_and(|fate| fate != Fate::Well));
        slowest = slowest.max(start.elapsed());
    }
    row.detail = format!("the slowest got through after {slowest:.1?}");
    Some(row)
}
