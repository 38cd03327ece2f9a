//! A host that is cut off from the database, from the issuer, or from both.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::relay::{Direction, Relay};
use super::{Fate, Fleet, get_through, is_transient};
use crate::chance::Chance;
use crate::contender::Contender;
use crate::crash::signal::pause;
use crate::issuer::Realm;
use crate::torture::Trial;

/// What a host is cut off from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The database.
    Database,
    /// The issuer.
    Issuer,
    /// Both.
    Both,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before it needs new tokens.
    Before,
    /// When its request to the issuer has arrived.
    Arrived,
    /// When the issuer has granted it new tokens, and is about to say so.
    Granted,
    /// When it has new tokens.
    After,
}

/// For how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Its claim still lasts.
    Soon,
    /// Another host has got through.
    OtherIsThrough,
}

/// One cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// From what.
    pub from: From,
    /// What does not come through.
    pub directions: &'static [Direction],
    /// When.
    pub when: When,
    /// For how long.
    pub until: Until,
}

const BOTH: &[Direction] = &Direction::ALL;
const THERE: &[Direction] = &[Direction::There];
const BACK: &[Direction] = &[Direction::Back];

/// The cuts that `make test` tries.
pub const BRIEF: [Cut; 6] = [
    cut(From::Database, BACK, When::Before, Until::OtherIsThrough),
    cut(From::Database, THERE, When::Granted, Until::Soon),
    cut(From::Database, BOTH, When::Granted, Until::OtherIsThrough),
    cut(From::Issuer, BACK, When::Before, Until::OtherIsThrough),
    cut(From::Issuer, BOTH, When::Arrived, Until::OtherIsThrough),
    cut(From::Both, BOTH, When::After, Until::OtherIsThrough),
];

const fn cut(from: From, directions: &'static [Direction], when: When, until: Until) -> Cut {
    Cut { from, directions, when, until }
}

/// Each cut there is.
#[must_use]
pub fn all() -> Vec<Cut> {
    let mut cuts = Vec::new();
    for from in [From::Database, From::Issuer, From::Both] {
        for directions in [BOTH, THERE, BACK] {
            for when in [When::Before, When::Arrived, When::Granted, When::After] {
                cuts.extend(
                    [Until::Soon, Until::OtherIsThrough]
                        .map(|until| cut(from, directions, when, until)),
                );
            }
        }
    }
    cuts
}

/// Tries `cuts` side by side, with a grace window and without: a row for each, and for what a host was
/// cut off from.
/// None where there can be no database.
///
/// # Panics
///
/// If a thread of its own does.
#[must_use]
pub fn trials(cuts: &[Cut], lanes: usize) -> Option<Vec<Trial>> {
    let rounds: Vec<(Cut, bool)> =
        [true, false].iter().flat_map(|grace| cuts.iter().map(|cut| (*cut, *grace))).collect();
    let lane = |rounds: &[(Cut, bool)]| {
        let mut rows = rows();
        for rounds in rounds.chunk_by(|(_, one), (_, other)| one == other) {
            let mut host = Host::new(rounds[0].1)?;
            for (cut, _) in rounds {
                host.suffer(*cut, &mut rows[cut.row(host.has_grace)]);
            }
        }
        Some(rows)
    };
    thread::scope(|scope| {
        let shares = rounds.chunks(rounds.len().div_ceil(lanes));
        let lanes: Vec<_> = shares.map(|share| scope.spawn(move || lane(share))).collect();
        let mut sums = rows();
        for lane in lanes {
            let rows = lane.join().expect("no panic")?;
            sums = sums.into_iter().zip(rows).map(|(sum, row)| sum + row).collect();
        }
        Some(sums)
    })
}

fn rows() -> Vec<Trial> {
    let cut_off = [From::Database, From::Issuer, From::Both];
    let rows = cut_off.iter().flat_map(|from| {
        ["with a grace window", "without one"]
            .map(|window| Trial::new(format!("a host cut off from: {from:?}, {window}")))
    });
    rows.collect()
}

/// Cuts a host off at random instants, from whatever, for up to `longest`, while all that it sends and
/// gets is late by up to a third of a second. None where there can be no database.
#[must_use]
pub fn at_random(rounds: u64, longest: Duration, seed: u64) -> Option<Trial> {
    let mut row = Trial::new("a slow network that is cut at random");
    let chance = Chance::new(seed);
    let mut host = Host::new(chance.happens(0.5))?;
    for _ in 0..rounds {
        host.stumble(&chance, longest, &mut row);
    }
    row.detail = format!("seed {seed}");
    Some(row)
}

/// A host, its network, and another host that has no part of that.
#[derive(Debug)]
struct Host {
    fleet: Fleet,
    database: Relay,
    issuer: Relay,
    contender: Contender,
    other: Contender,
    has_grace: bool,
}

impl Host {
    fn new(has_grace: bool) -> Option<Self> {
        let config = if has_grace { json!({"grace_ms": 600_000}) } else { json!({}) };
        let fleet = Fleet::new(&config)?;
        let database = Relay::to_socket(fleet.database.socket());
        let issuer = Relay::to(fleet.issuer.address());
        let url = format!("postgres://owner@{}/postgres?sslmode=disable", database.address());
        let realm = Realm::at(&format!("http://{}", issuer.address())).expect("a realm");
        let (contender, other) = (fleet.start_at(&url, &realm), fleet.start());
        Some(Self { fleet, database, issuer, contender, other, has_grace })
    }

    fn suffer(&mut self, cut: Cut, row: &mut Trial) {
        row.tried += 1;
        self.fleet.begin();
        let told = self.cut(cut);
        let fate = self.fate(cut.may_be_excepted(), &told);
        self.note(&fate, cut, &told, row);
    }

    /// Refreshes, is cut off, and refreshes once more if the cut does not end for that.
    fn cut(&mut self, cut: Cut) -> Vec<Value> {
        let at = match cut.when {
            When::Arrived => Some("arrival"),
            When::Granted => Some("reply"),
            When::Before | When::After => None,
        };
        if let Some(at) = at {
            self.fleet.realm.run("hold", &json!({"at": at}));
        }
        let mut told = Vec::new();
        if cut.when != When::Before {
            self.contender.go();
        }
        if at.is_some() {
            drop(self.fleet.realm.wait(&json!({"held": 1})));
        } else if cut.when == When::After {
            told.push(self.contender.answer());
        }
        self.close(cut);
        self.fleet.realm.run("release", &json!({}));
        if cut.when == When::Before {
            self.contender.go();
        }
        if cut.when == When::After {
            self.fleet.realm.run("kill_access", &json!({}));
        }
        self.other.go();
        if cut.until == Until::OtherIsThrough {
            told.push(self.other.answer());
        }
        self.database.mend();
        self.issuer.mend();
        if cut.when != When::After {
            told.push(self.contender.answer());
        }
        if cut.until == Until::Soon {
            told.push(self.other.answer());
        }
        told
    }

    fn close(&self, cut: Cut) {
        for direction in cut.directions {
            if cut.from != From::Issuer {
                self.database.cut(*direction);
            }
            if cut.from != From::Database {
                self.issuer.cut(*direction);
            }
        }
    }

    /// What became of the login, and of the programs.
    fn fate(&mut self, may_be_excepted: bool, told: &[Value]) -> Result<Fate, String> {
        let through = self.get_through();
        let fate = self.fleet.judge(may_be_excepted)?;
        if fate != Fate::Lost {
            through?;
        }
        // The API may have been out of reach. Without a grace window the second of two is refused.
        let is_told = |answer: &Value| answer["status"].is_u64() || is_transient(answer);
        let may_be_refused = fate != Fate::Well && !self.has_grace;
        if !may_be_refused && !told.iter().all(is_told) {
            return Err("a program was told of an end".to_owned());
        }
        // All go on with the next login.
        self.fleet.begin();
        self.get_through().map(|()| fate)
    }

    fn get_through(&mut self) -> Result<(), String> {
        [&mut self.contender, &mut self.other].into_iter().try_for_each(get_through)
    }

    fn note(&self, fate: &Result<Fate, String>, cut: Cut, told: &[Value], row: &mut Trial) {
        let window = if self.has_grace { "with a grace window" } else { "without one" };
        row.check(fate.is_ok(), || format!("{cut:?}, {window}: {fate:?}; told {told:?}"));
        row.excepted += u64::from(matches!(fate, Ok(Fate::Forgiven | Fate::Lost)));
    }

    fn stumble(&mut self, chance: &Chance, longest: Duration, row: &mut Trial) {
        row.tried += 1;
        self.fleet.begin();
        for relay in [&self.database, &self.issuer] {
            for direction in Direction::ALL {
                relay.delay(direction, chance.millis(0, 300));
            }
        }
        self.contender.go();
        self.other.go();
        pause(chance.millis(0, 1500));
        let cut = chance.pick(&all());
        self.close(cut);
        pause(chance.between(Duration::ZERO, longest));
        self.database.mend();
        self.issuer.mend();
        let told = [&mut self.contender, &mut self.other].map(Contender::answer);
        for relay in [&self.database, &self.issuer] {
            Direction::ALL.iter().for_each(|direction| relay.delay(*direction, Duration::ZERO));
        }
        let fate = self.fate(true, &told);
        self.note(&fate, cut, &told, row);
    }
}

impl Cut {
    /// Its place among the rows.
    const fn row(self, has_grace: bool) -> usize {
        2 * self.from as usize + !has_grace as usize
    }

    /// Whether a request is sent whose answer is not saved for longer than a claim.
    fn may_be_excepted(self) -> bool {
        let is_cut = |direction| self.directions.contains(&direction);
        let arrives = self.when != When::Before || !is_cut(Direction::There);
        let is_unanswered = self.from != From::Database && is_cut(Direction::Back) && arrives;
        let is_unsaved = self.from != From::Issuer && self.until == Until::OtherIsThrough;
        let is_under_way = matches!(self.when, When::Arrived | When::Granted);
        (is_unanswered && self.when != When::After) || (is_unsaved && is_under_way)
    }
}
