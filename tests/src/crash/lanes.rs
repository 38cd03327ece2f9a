//! Trials side by side, each on a login of its own.

use std::hash::{BuildHasher, RandomState};
use std::thread;

use serde_json::Value;

use super::home::{Home, Server};
use crate::issuer::Issuer;
use crate::torture::Trial;

/// Runs `work` on a login of each kind of server, side by side, and adds up the rows.
pub(super) fn on_every_server(
    options: &Value,
    work: impl Fn(usize, &Home) -> Vec<Trial> + Sync,
) -> Vec<Trial> {
    let issuer = Issuer::start().expect("an issuer");
    let run = |lane: usize| {
        let realm = issuer.realm(&format!("lane{lane}"));
        work(lane, &Home::new(realm, Server::ALL[lane], options.clone()))
    };
    thread::scope(|scope| {
        let run = &run;
        let lanes: Vec<_> =
            (0..Server::ALL.len()).map(|lane| scope.spawn(move || run(lane))).collect();
        let rows = lanes.into_iter().map(|lane| lane.join().expect("no panic"));
        rows.reduce(|sums, rows| sums.into_iter().zip(rows).map(|(sum, row)| sum + row).collect())
            .unwrap_or_default()
    })
}

/// A number from 0 to below `end`.
pub(super) fn below(end: usize) -> usize {
    RandomState::new().hash_one(()) as usize % end
}
