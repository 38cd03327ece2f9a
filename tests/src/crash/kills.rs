//! Kills, at the named steps of a refresh and at random instants, and what the others make of it.

use serde_json::{Value, json};

use super::crowd::Crowd;
use super::home::{Home, Server};
use super::kill::{Kill, check_home};
use super::lanes::{below, on_every_server};
use super::signal::{self, Signal};
use super::step::{STEPS, Step};
use crate::contender::Language;
use crate::torture::Trial;

/// Kills so many contenders, a third of them on each kind of server, at each of the steps in turn,
/// and lets one in the next language go on. A row for each step, and one for the temp files that
/// were left behind.
#[must_use]
pub fn at_steps(kills: usize, languages: &[Language]) -> Vec<Trial> {
    on_every_server(&options(), |lane, home| {
        let mut left = Trial::new("temp files of the killed, removed by the next");
        let rows = STEPS.iter().map(|step| Trial::new(format!("killed: {}", step.name)));
        let mut rows: Vec<Trial> = rows.collect();
        for kill in 0..kills / Server::ALL.len() {
            let (place, round) = (kill % STEPS.len(), kill / STEPS.len());
            let signal = Signal::ALL[(lane + round) % Signal::ALL.len()];
            let turn = place + lane + round / Signal::ALL.len();
            let [victim, next] = [turn, turn + 1].map(|turn| languages[turn % languages.len()]);
            let killed = KillAt { home, step: &STEPS[place], signal, victim, next };
            left.tried += killed.run(&mut rows[place]);
        }
        rows.push(left);
        rows
    })
}

struct KillAt<'a> {
    home: &'a Home,
    step: &'a Step,
    signal: Signal,
    victim: Language,
    next: Language,
}

impl KillAt<'_> {
    /// How many temp files it left.
    fn run(&self, row: &mut Trial) -> u64 {
        let who = |text: String| {
            let Self { home, signal, victim, next, .. } = self;
            format!("{signal:?} {victim:?}, then {next:?} ({:?}): {text}", home.server())
        };
        self.home.sign_in();
        row.tried += 1;
        let end = self.step.end(self.home, self.signal, self.victim);
        row.check(end.is_ok(), || who(format!("{end:?}")));
        let left = self.home.temp_files();
        // One for the record, and one for the ledger.
        row.check(left <= 2, || who(format!("it left {left} temp files")));

        let mut heir = self.home.start(self.next);
        heir.go();
        let answers = vec![heir.answer()];
        // Only the heir may have saved what the killed one left in a temp file.
        let kill = Kill { answers, fate: self.home.fate(), first: self.home.first_token() };
        let is_excepted = self.step.has_unsaved_reply && self.home.server() != Server::GrantsAgain;
        match kill.is_excepted() {
            Ok(found) if found == is_excepted => row.excepted += u64::from(found),
            found => row.lost.push(who(format!("{found:?}, should be {is_excepted}: {kill:?}"))),
        }
        check_home(self.home, left, row);
        self.home.sign_in();
        heir.go();
        let answer = heir.answer();
        row.check(answer["status"] == 200, || who(format!("the next login: {answer}")));
        check_home(self.home, 0, row);
        left as u64
    }
}

/// Kills so many contenders at random instants while a crowd of them refreshes one login: one of
/// them, or all at once. Those who are left go on, and so do others in the place of the killed.
#[must_use]
pub fn at_random(kills: u64, languages: &[Language]) -> Vec<Trial> {
    let lanes = Server::ALL.len() as u64;
    on_every_server(&options(), |lane, home| {
        let mut row = Trial::new("killed at random instants");
        let mut crowd = Crowd::gather(home, languages);
        let share = kills / lanes + u64::from((lane as u64) < kills % lanes);
        while row.tried < share {
            kill_some(&mut crowd, share - row.tried, &mut row);
        }
        vec![row]
    })
}

/// Kills one of them, sometimes all, but no more than `most`.
fn kill_some(crowd: &mut Crowd<'_>, most: u64, row: &mut Trial) {
    let signal = Signal::ALL[below(Signal::ALL.len())];
    let everybody = crowd.contenders.len();
    crowd.refresh_for_a_while();
    let victims = if everybody as u64 <= most && below(4) == 0 {
        0..everybody
    } else {
        let victim = crowd.someone();
        victim..victim + 1
    };
    let most_left = victims.len();
    let victims = &mut crowd.contenders[victims];
    let ids: Vec<u32> = victims.iter_mut().map(|victim| victim.process().id()).collect();
    signal::send(signal.name(), &ids);
    for victim in victims {
        row.tried += 1;
        victim.process().wait().expect("a child of ours");
        *victim = crowd.home.start(victim.language());
        victim.go();
    }
    let (answers, home) = (crowd.answers(), crowd.home);
    let kill = Kill { answers, fate: home.fate(), first: home.first_token() };
    match kill.is_excepted() {
        Ok(is_excepted) => row.excepted += u64::from(is_excepted),
        Err(error) => row.lost.push(format!("{signal:?} ({:?}): {error}", home.server())),
    }
    check_home(home, most_left, row);
}

/// A refused token is refused at once where no foreign program takes part.
fn options() -> Value {
    json!({"winner_wait": 0.3, "refresh_deadline": 20, "lock_timeout": 25})
}
