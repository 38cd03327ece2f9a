//! A machine full of programs that share one login, whose tokens expire.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::home::{Home, Server};
use super::signal::pause;
use crate::contender::{Contender, Language};
use crate::issuer::Issuer;
use crate::torture::Trial;

/// An access token lives for so many rounds of requests: once half its life has passed it is due
/// again, and a round must be over by then, also on a machine that has other things to do.
const ROUNDS_OF_A_LIFE: u32 = 8;

const SHORTEST_LIFE: Duration = Duration::from_secs(4);

/// Lets so many processes make a request each time that the access token has expired. Reused tokens
/// cost the whole login.
#[must_use]
pub fn rotate(processes: usize, rotations: u64, languages: &[Language]) -> Trial {
    let mut row = Trial::new(format!("{processes} processes, {rotations} tokens that expire"));
    let issuer = Issuer::start().expect("an issuer");
    let home = Home::new(issuer.realm(""), Server::RevokesFamilies, json!({}));
    home.sign_in();
    let languages = languages.iter().cycle().take(processes);
    let mut contenders: Vec<_> = languages.map(|language| home.begin(*language)).collect();
    contenders.iter_mut().for_each(Contender::wait_until_ready);
    let first = round(&mut contenders, |_, _| {});
    let life = SHORTEST_LIFE.max(first * ROUNDS_OF_A_LIFE);
    home.sign_in();
    home.realm().run("configure", &json!({"access_ttl_ms": life.as_millis() as u64}));
    let mut slowest = Duration::ZERO;
    for rotation in 1..=rotations {
        while home.fate().is_ok_and(|fate| fate.is_fresh) {
            pause(Duration::from_millis(10));
        }
        let took = round(&mut contenders, |language, answer| {
            row.check(answer["status"] == 200, || format!("{rotation}, {language:?}: {answer}"));
        });
        slowest = slowest.max(took);
        row.tried += 1;
        let stats = home.realm().stats();
        let redemptions = json!([stats["requests"], stats["grants"], stats["refused"]]);
        row.check(redemptions == json!([rotation, rotation, 0]), || {
            format!("{rotation}: requests, grants, refusals are {redemptions}")
        });
    }
    row.check(slowest < life / 2, || format!("a round took {slowest:?}: tokens live too short"));
    row.detail = format!("slowest round {slowest:.1?}, tokens of {life:.1?}");
    row
}

/// Lets all make a request at once; how long it takes until the last one is answered.
fn round(contenders: &mut [Contender], mut answered: impl FnMut(Language, &Value)) -> Duration {
    let start = Instant::now();
    contenders.iter_mut().for_each(Contender::go);
    for contender in contenders {
        let answer = contender.answer();
        answered(contender.language(), &answer);
    }
    start.elapsed()
}
