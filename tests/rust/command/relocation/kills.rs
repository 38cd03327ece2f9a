//! Moves that are killed: the login is stored, in at most one place where programs look for it, and
//! another run completes the move.

use std::process::Command;

use codex_auth_tests::privilege::is_tracing_denied;
use codex_auth_tests::tier::sized;
use serde_json::json;

use super::machine::Machine;

/// The system calls by which something is changed that another program sees: of a file, of what is sent
/// to a database, and of what is sent to a keyring. With each the distance between two kills: what is
/// written is mostly no step of a move.
const CALLS: [(&str, usize); 6] =
    [("rename", 1), ("unlink", 1), ("fsync", 5), ("write", 17), ("sendto", 1), ("sendmsg", 6)];

impl Machine {
    /// Runs the move, and kills it as a thread of it enters its call of this name and number. Returns
    /// whether that came to pass.
    pub(super) fn is_killed(&self, from: &str, to: &str, (call, number): (&str, usize)) -> bool {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null"]).arg("-e").arg(format!("trace=/^{call}"));
        strace.arg("-e").arg(format!("inject=/^{call}:signal=SIGKILL:when={number}"));
        let command = self.command(&["move", "--from", from, "--to", to]);
        strace.arg("--").arg(command.get_program()).args(command.get_args());
        strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = strace.output().expect("started");
        assert!(output.status.success() || output.status.code().is_none(), "{output:?}");
        if let Some(database) = &self.database {
            // The claim of a killed program ends by itself, in 40 s.
            database.run("UPDATE codex_auth_sdk_logins SET holder = NULL, claim_end = NULL");
        }
        !output.status.success()
    }

    /// Kills a move at one step after the other. After each, another run completes it.
    fn survives_kills(&self, from: &str, to: &str) {
        let mut kills = 0;
        for (call, distance) in CALLS {
            let mut number = 1;
            while self.survives_kill(from, to, (call, number), kills % 2 == 0) {
                kills += 1;
                number += sized(distance, 1);
            }
        }
        assert!(kills >= 5, "{kills}");
        let stats = self.scene.realm().stats();
        let seen = (&stats["max_redemptions"], &stats["replays"], &stats["refusals"]);
        assert_eq!(seen, (&json!(1), &json!(0), &json!({})));
    }

    /// Kills a move at this call, if there is one, and has another run complete it, after a refresh
    /// where the login still is if `is_refreshed`. Returns whether there is such a call.
    fn survives_kill(&self, from: &str, to: &str, at: (&str, usize), is_refreshed: bool) -> bool {
        // Names of logins do not end in numbers.
        self.sign_in(&format!("{}{}x", at.0, at.1));
        if from != "file" {
            self.relocate("file", from).assert_done();
        }
        let is_killed = self.is_killed(from, to, at);
        let places = [from, to].map(|store| self.holds(store));
        assert_ne!(places, [true, true], "{at:?}");
        if places[0] && is_refreshed {
            // What waits, if it does, is spent now.
            self.refresh(from);
        }
        let ended = self.relocate(from, to);
        match ended.code {
            Some(3) => assert!(places[1], "{at:?}: {ended:?}"),
            // Killed between the removal and the mark that it was made, or as the login was stored.
            Some(1) => {
                let asks = ["nothing shows that it was this move", "as it stored the login"];
                assert!(asks.iter().any(|asks| ended.stderr.contains(asks)), "{at:?}: {ended:?}");
                assert_eq!(places, [false, false], "{at:?}");
                self.run(&["move", "--from", from, "--to", to, "--complete"]).assert_done();
            }
            _ => drop(ended.assert_done()),
        }
        assert_eq!([from, to].map(|store| self.holds(store)), [false, true], "{at:?}");
        self.assert_nothing_waits();
        if to != "file" {
            self.relocate(to, "file").assert_done();
        }
        assert!(self.is_live(), "{at:?}");
        self.run(&["--store", "file", "logout"]).assert_done();
        is_killed
    }
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_into_a_database_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    machine.survives_kills("file", &machine.row("alice"));
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_out_of_a_database_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    machine.survives_kills(&machine.row("alice"), "file");
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_between_databases_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    machine.survives_kills(&machine.row("alice"), &machine.row("bob"));
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_into_the_keyring_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_keyring() else { return };
    machine.survives_kills("file", "keyring");
}

#[test]
fn g1_a_kill_at_any_step_of_a_move_out_of_the_keyring_leaves_one_login_for_the_next_run() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_keyring() else { return };
    machine.survives_kills("keyring", "file");
}

#[test]
fn g1_what_an_interrupted_move_has_left_is_not_stored_once_it_is_spent() {
    if is_tracing_denied() {
        return;
    }
    let Some(machine) = Machine::with_database() else { return };
    let (row, waiting) = (machine.row("alice"), machine.row("alice (being moved here)"));
    let rows = "SELECT login FROM codex_auth_sdk_logins";
    machine.sign_in("a");
    let mut number = 1;
    while machine.database.as_ref().expect("a database").ask(rows).is_empty() {
        assert!(machine.is_killed("file", &row, ("unlink", number)), "{number}");
        number += 1;
    }
    assert!(machine.is_live());
    machine.run(&["--store", &waiting, "refresh"]).assert_failed(3, "no login is stored");
    machine.refresh("file");
    machine.run(&["--store", "file", "logout", "--no-revoke"]).assert_done();
    machine.relocate("file", &row).assert_failed(3, "no login is stored in ");
    assert!(!machine.holds(&row));
    machine.assert_nothing_waits();
}
