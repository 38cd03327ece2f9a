//! The protocol simulated: briefly here, at length by `make torture`. A seed that loses something
//! says how to see what happened in it.

use std::collections::HashSet;

use codex_auth_tests::simulation::{Kind, run, scale, trial};
use codex_auth_tests::tier::sized;

#[test]
fn g3_accounts_are_never_mixed() {
    trial(Kind::Accounts, 5, 0..sized(150, 1000)).assert_nothing_lost();
}

#[test]
fn nothing_is_lost_among_thirty_managers() {
    trial(Kind::Everything, 30, 0..sized(40, 300)).assert_nothing_lost();
}

#[test]
fn nothing_is_lost_among_many_managers() {
    trial(Kind::Everything, sized(200, 1000), 0..2).assert_nothing_lost();
}

#[test]
fn g1_redemptions_do_not_grow_with_the_number_of_managers() {
    for row in scale::trials(sized(&[10, 100], &[10, 100, 1000])) {
        row.assert_nothing_lost();
    }
}

#[test]
fn a_seed_replays_exactly() {
    let traces =
        |kind| (0..sized(10, 20)).map(|seed| run(kind, 8, seed, false).trace).collect::<Vec<_>>();
    for kind in [Kind::Accounts, Kind::Everything] {
        let here = traces(kind);
        let there = std::thread::spawn(move || traces(kind)).join().expect("no panic");
        assert_eq!(here, there, "the same seeds, in another thread");
        assert_eq!(here.iter().collect::<HashSet<_>>().len(), here.len(), "no two are alike");
    }
}
