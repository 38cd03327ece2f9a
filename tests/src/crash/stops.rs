//! Programs that are stopped in the middle of a refresh (`SIGSTOP`, `docker pause`) for longer than
//! anybody waits for them, and wake up again.

use std::fs::File;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::crowd::Crowd;
use super::home::{Home, LOCKS, Server};
use super::kill::check_home;
use super::lanes::{below, on_every_server};
use super::signal::{pause, resume, stop};
use crate::contender::{Contender, Language};
use crate::issuer::Issuer;
use crate::torture::Trial;

/// How a stop went; the error says what is wrong.
type Outcome = Result<(), String>;

type Stop = fn(&mut Pair<'_>) -> Outcome;

/// Longer than any timeout of a manager.
const LONG: Duration = Duration::from_secs(4);

/// Tries, one a second: longer than a manager rests after no clear answer.
const MOST_TRIES: usize = 10;

/// So many times in each language, stops one that holds the refresh lock, at each of these steps. A
/// row for each.
#[must_use]
pub fn at_steps(times: usize, languages: &[Language]) -> Vec<Trial> {
    let steps: [(&str, Stop); 4] = [
        ("stopped before the request", before_the_request),
        ("stopped while the reply arrives", while_the_reply_arrives),
        ("stopped while another program redeems", while_another_program_redeems),
        ("stopped, as is another program that redeems", with_another_program_that_redeems),
    ];
    let issuer = Issuer::start().expect("an issuer");
    thread::scope(|scope| {
        let running = steps.map(|(name, stop)| {
            let home =
                Home::new(issuer.realm(&name.replace([' ', ','], "-")), Server::Refuses, options());
            scope.spawn(move || stop_each(name, stop, &home, times, languages))
        });
        running.into_iter().map(|row| row.join().expect("no panic")).collect()
    })
}

fn stop_each(name: &str, stop: Stop, home: &Home, times: usize, languages: &[Language]) -> Trial {
    let mut row = Trial::new(name);
    for turn in 0..times * languages.len() {
        let [sleeper, other] = [turn, turn + 1].map(|turn| languages[turn % languages.len()]);
        home.sign_in();
        let mut pair = Pair { sleeper: home.start(sleeper), other: home.start(other), home };
        let outcome = stop(&mut pair).and_then(|()| pair.both_go_on());
        row.tried += 1;
        row.check(outcome.is_ok(), || format!("{sleeper:?}: {outcome:?}"));
        check_home(home, 0, &mut row);
    }
    row
}

/// Two that share a login. The first is stopped.
struct Pair<'a> {
    sleeper: Contender,
    other: Contender,
    home: &'a Home,
}

impl Pair<'_> {
    /// Longer than any of the sleeper's own timeouts: so long the other waits for the lock.
    fn other_waits_in_vain(&mut self) -> Outcome {
        self.other.go();
        same("the other", &self.other.answer()["error"], &json!("lock_timeout"))
    }

    /// In the end the token has been redeemed once, and both have what came of it.
    fn both_go_on(&mut self) -> Outcome {
        for contender in [&mut self.sleeper, &mut self.other] {
            contender.go();
            same("a request", &contender.answer()["status"], &json!(200))?;
        }
        let (fate, stats) = (self.home.fate()?, self.home.realm().stats());
        same("the store", &json!([fate.label, fate.is_good]), &json!(["a1", true]))?;
        let once = json!([stats["grants"], stats["foreign_grants"]]);
        if once != json!([1, 0]) && once != json!([0, 1]) {
            return Err(format!("redeemed by us and by others: {once}"));
        }
        same("replays", &stats["replays"], &json!(0))
    }
}

/// While it waits for a commit lock, to see whether it can save. Its time is over when it wakes
/// up: a request that it sent now would be cut short.
fn before_the_request(pair: &mut Pair<'_>) -> Outcome {
    let [_, first, second] = LOCKS;
    let held = File::create(pair.home.path().join(second)).expect("opened");
    held.lock().expect("locked");
    pair.sleeper.go();
    // It has the first commit lock while it waits for the second one: the time of its turn runs.
    while !pair.home.is_locked(first) {
        pause(Duration::from_millis(1));
    }
    stop(pair.sleeper.process());
    pair.other_waits_in_vain()?;
    held.unlock().expect("unlocked");
    resume(pair.sleeper.process());
    let answer = pair.sleeper.answer();
    same("the sleeper", &answer["error"], &json!("refresh_transient"))?;
    same("requests", &pair.home.realm().stats()["requests"], &json!(0))
}

/// The reply lies in its socket when it wakes up, and its temp file is still there to take it.
fn while_the_reply_arrives(pair: &mut Pair<'_>) -> Outcome {
    let realm = pair.home.realm();
    realm.run("hold", &json!({"at": "reply"}));
    pair.sleeper.go();
    drop(realm.wait(&json!({"held": 1})));
    stop(pair.sleeper.process());
    realm.run("release", &json!({}));
    pair.other_waits_in_vain()?;
    same("temp files", &json!(pair.home.temp_files()), &json!(1))?;
    resume(pair.sleeper.process());
    same("the sleeper", &pair.sleeper.answer()["status"], &json!(200))
}

/// The other adopts what that program stores, without the lock, and so does the sleeper.
fn while_another_program_redeems(pair: &mut Pair<'_>) -> Outcome {
    let realm = pair.home.realm();
    realm.run("hold", &json!({}));
    pair.sleeper.go();
    drop(realm.wait(&json!({"held": 1})));
    stop(pair.sleeper.process());
    pair.other.go();
    let won = realm.call("rotate", &json!({"token": "a0"}));
    pair.home.store(&won);
    same("the other", &pair.other.answer()["status"], &json!(200))?;
    realm.run("release", &json!({}));
    drop(realm.wait(&json!({"refused": 1})));
    resume(pair.sleeper.process());
    same("the sleeper", &pair.sleeper.answer()["status"], &json!(200))
}

/// Both wake up at once, say as their container does: the sleeper hears that its token was refused
/// before the other program has stored what it got for it.
fn with_another_program_that_redeems(pair: &mut Pair<'_>) -> Outcome {
    let realm = pair.home.realm();
    realm.run("hold", &json!({}));
    pair.sleeper.go();
    drop(realm.wait(&json!({"held": 1})));
    stop(pair.sleeper.process());
    let won = realm.call("rotate", &json!({"token": "a0"}));
    realm.run("release", &json!({}));
    drop(realm.wait(&json!({"refused": 1})));
    pair.other_waits_in_vain()?;
    resume(pair.sleeper.process());
    pause(Duration::from_millis(100));
    pair.home.store(&won);
    same("the sleeper", &pair.sleeper.answer()["status"], &json!(200))
}

/// Stops so many at random instants while a crowd refreshes one login, some of them for longer than
/// the others wait.
#[must_use]
pub fn at_random(stops: u64, languages: &[Language]) -> Vec<Trial> {
    let lanes = Server::ALL.len() as u64;
    on_every_server(&options(), |lane, home| {
        let mut row = Trial::new("stopped at random instants");
        let mut crowd = Crowd::gather(home, languages);
        for _ in (lane as u64..stops).step_by(lanes as usize) {
            let outcome = stop_one(&mut crowd);
            row.tried += 1;
            row.check(outcome.is_ok(), || format!("({:?}): {outcome:?}", home.server()));
            check_home(home, 0, &mut row);
        }
        vec![row]
    })
}

fn stop_one(crowd: &mut Crowd<'_>) -> Outcome {
    crowd.refresh_for_a_while();
    let sleeper = crowd.someone();
    stop(crowd.contenders[sleeper].process());
    if below(2) == 0 {
        pause(LONG);
    }
    resume(crowd.contenders[sleeper].process());
    for _ in 0..MOST_TRIES {
        let answers = crowd.answers();
        if answers.iter().all(|answer| answer["status"] == 200) {
            let stats = crowd.home.realm().stats();
            return same(
                "redemptions",
                &json!([stats["grants"], stats["refused"]]),
                &json!([1, 0]),
            );
        }
        let is_transient = |answer: &Value| {
            answer["status"] == 200
                || answer["error"] == "lock_timeout"
                || answer["error"] == "refresh_transient"
        };
        if !answers.iter().all(is_transient) {
            return Err(format!("{answers:?}, {:?}", crowd.home.fate()));
        }
        pause(Duration::from_secs(1));
        crowd.go();
    }
    Err("they still do not have a token".to_owned())
}

/// Shorter than a long stop, and long enough to do something in the meantime.
fn options() -> Value {
    json!({"request_timeout": 2, "refresh_deadline": 2.5, "lock_timeout": 3})
}

fn same(what: &str, found: &Value, expected: &Value) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found} instead of {expected}")) }
}
