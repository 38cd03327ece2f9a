//! What befalls the hosts of a fleet, their network and the database; `make torture` tries it at length.

use std::time::Duration;

use codex_auth_tests::fleet::{Outage, Witness, cuts, kills};
use codex_auth_tests::postgres::Stop;
use codex_auth_tests::tier::{is_whole, sized};
use codex_auth_tests::torture::Trial;

#[expect(clippy::print_stdout, reason = "the whole table, where a row of it is wrong")]
fn assert_nothing_lost(rows: &[Trial]) {
    rows.iter().for_each(|row| println!("{row}"));
    rows.iter().for_each(Trial::assert_nothing_lost);
}

/// As long as the fault needs to be noticed, or for longer than a claim and a statement last.
fn assert_is_survived(outage: Outage) {
    let length = sized(Duration::ZERO, Duration::from_secs(60));
    assert_nothing_lost(outage.trial(length).as_slice());
}

#[test]
fn g5_a_database_that_is_stopped_costs_no_token() {
    assert_is_survived(Outage::Stopped(Stop::Fast));
    assert_is_survived(Outage::Stopped(Stop::Immediate));
}

#[test]
fn g5_a_database_that_takes_no_writes_costs_no_token() {
    assert_is_survived(Outage::ReadOnly);
}

#[test]
fn g5_a_database_that_times_statements_out_costs_no_token() {
    assert_is_survived(Outage::StatementTimeout);
}

#[test]
fn g5_a_table_that_is_locked_costs_no_token() {
    assert_is_survived(Outage::TableLock);
}

#[test]
fn g5_a_database_that_takes_no_more_sessions_costs_no_token() {
    assert_is_survived(Outage::NoSlots);
}

#[test]
fn g5_a_database_whose_disk_is_full_costs_no_token() {
    assert_is_survived(Outage::DiskFull);
}

#[test]
fn g1_a_host_that_is_cut_off_costs_no_more_than_its_answer() {
    let cuts = sized(cuts::BRIEF.to_vec(), cuts::all());
    let rows = cuts::trials(&cuts, sized(6, 12)).unwrap_or_default();
    assert_nothing_lost(&rows);
}

#[test]
fn g8_hosts_that_are_killed_at_random_stop_no_other() {
    assert_nothing_lost(kills::at_random(sized(4, 50), sized(2, 10), 1).as_slice());
}

#[test]
fn a_standby_that_has_missed_a_rotation_is_told_of_it() {
    for witness in Witness::ALL {
        for has_grace in [true, false] {
            if is_whole() || (witness == Witness::Adopter && !has_grace) {
                assert_nothing_lost(witness.trial(has_grace).as_slice());
            }
        }
    }
}
