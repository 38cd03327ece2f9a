//! A store that fails: full, read-only, unreadable, replaced, gone, or with an error at any system
//! call. Before the exchange nothing is spent, after it nothing is lost, and no file is ever torn.

mod disk;
mod folder;
mod injection;
mod permission;
mod scene;
mod tracer;
mod unsaved;

use crate::contender::Language;
use crate::privilege::{
    are_mounts_denied, is_ordinary_user_denied, is_root_denied, is_tracing_denied,
};
use crate::torture::{Trial, Trials};

/// Something that fails.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// The guarantee, as a test's name.
    pub name: &'static str,
    /// Whether it is tried on contenders in every language, or in Rust only.
    pub in_all_languages: bool,
    /// What is needed of the machine, each told whether it is denied.
    pub needs: &'static [fn() -> bool],
    /// Tries it once.
    pub attempt: fn(Language, &mut Trial),
}

const MOUNTS: fn() -> bool = are_mounts_denied;
const ORDINARY_USER: fn() -> bool = is_ordinary_user_denied;
const ROOT: fn() -> bool = is_root_denied;
const TRACING: fn() -> bool = is_tracing_denied;

macro_rules! failures {
    ($($name:ident: $attempt:path, $all:literal, [$($need:ident)*];)*) => {
        /// All of them.
        pub const FAILURES: &[Failure] = &[$(Failure {
            name: stringify!($name),
            in_all_languages: $all,
            needs: &[$($need),*],
            attempt: $attempt,
        }),*];
    };
}

failures! {
    g5_a_full_disk_spends_nothing: disk::full, true, [MOUNTS];
    g5_a_disk_that_fills_up_meanwhile_takes_the_save: disk::full_after_the_exchange, true, [MOUNTS];
    g5_a_disk_without_inodes_spends_nothing: disk::out_of_inodes, true, [MOUNTS];
    g5_a_full_host_of_a_mounted_file_spends_and_tears_nothing: disk::full_host, true, [MOUNTS];
    g1_a_nearly_full_disk_spends_no_token_twice: disk::no_room_for_the_lineage, true, [MOUNTS];
    g5_a_read_only_file_spends_nothing: permission::read_only_file, true, [];
    g5_a_read_only_mount_spends_nothing: permission::read_only_mount, true, [MOUNTS];
    g5_a_read_only_folder_spends_nothing: permission::read_only_folder, false, [ORDINARY_USER];
    g5_an_unreadable_file_spends_nothing: permission::unreadable_file, false, [ORDINARY_USER];
    g5_another_users_file_spends_nothing: permission::another_owner, false, [ROOT ORDINARY_USER];
    g4_a_folder_that_is_closed_meanwhile_loses_nothing: permission::folder_closed_after_the_exchange, false, [ORDINARY_USER];
    g7_a_group_that_cannot_be_kept_is_left: permission::another_group, false, [ROOT ORDINARY_USER];
    g8_a_home_that_a_group_shares_goes_on_working: permission::shared_home, false, [ROOT ORDINARY_USER];
    g7_a_file_system_that_refuses_modes_serves: permission::no_modes, false, [TRACING];
    g7_a_root_container_does_not_lock_its_hosts_user_out: permission::root_container, true, [ROOT ORDINARY_USER];
    g7_a_link_stays_a_link: folder::link, true, [];
    g5_a_loop_of_links_is_a_clear_error: folder::link_loop, true, [];
    g7_a_login_appears_through_a_dangling_link: folder::dangling_link, true, [];
    g8_a_removed_folder_is_no_logout_and_may_come_back: folder::removed_while_idle, true, [];
    g1_nothing_is_redeemed_under_the_lock_of_a_removed_folder: folder::removed_during_the_exchange, true, [];
    g4_a_folder_that_is_away_meanwhile_loses_nothing: folder::away_during_the_exchange, true, [];
    g4_a_mounted_file_that_is_replaced_meanwhile_loses_nothing: folder::mount_replaced_during_the_exchange, true, [MOUNTS];
    g4_a_pair_is_kept_until_it_is_saved: unsaved::kept_until_saved, true, [];
    g5_nothing_is_redeemed_while_a_pair_is_unsaved: unsaved::nothing_redeemed_meanwhile, true, [];
    g3_an_unsaved_pair_overwrites_nothing_newer: unsaved::overtaken, true, [];
    g5_an_error_at_any_call_before_the_exchange_spends_nothing: injection::before, false, [TRACING];
    g4_an_error_at_any_call_after_the_exchange_loses_nothing: injection::after, false, [TRACING];
    g5_other_errors_at_any_call_lose_nothing: injection::others, false, [TRACING];
    g7_a_rename_that_is_refused_is_a_write_in_place: injection::renames, false, [TRACING];
    g5_an_error_at_any_call_on_a_mounted_file_spends_nothing: injection::before_mounted, false, [TRACING MOUNTS];
    g7_an_error_at_any_call_on_a_mounted_file_leaves_it_whole: injection::after_mounted, false, [TRACING MOUNTS];
    g7_other_errors_at_any_call_on_a_mounted_file_lose_nothing: injection::others_mounted, false, [TRACING MOUNTS];
}

impl Failure {
    /// Tries it so often in each of `languages`, unless the machine denies what it needs.
    #[must_use]
    pub fn try_in(&self, languages: &[Language], times: u32) -> Option<Trial> {
        if self.needs.iter().any(|is_denied| is_denied()) {
            return None;
        }
        let mut trial = Trial::new(self.name);
        let only = [Language::Rust];
        for _ in 0..times {
            for language in if self.in_all_languages { languages } else { &only } {
                (self.attempt)(*language, &mut trial);
            }
        }
        Some(trial)
    }
}

/// All of them at length.
#[must_use]
pub fn torture() -> Trials {
    Box::new(FAILURES.iter().filter_map(|failure| failure.try_in(&Language::ALL, 5)))
}
