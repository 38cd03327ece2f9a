//! A machine full of programs that share one login, whose tokens expire.

use std::time::{Duration, Instant};

use serde_json::json;

use super::home::{Home, Server};
use super::signal::pause;
use crate::contender::{Contender, Language};
use crate::issuer::Issuer;
use crate::torture::Trial;

/// Lets so many processes make a request each time that the access token, which lives for
/// `life`, has expired. Reused tokens cost the whole login.
///
/// Half of `life` must be enough for a round of requests: then the token is due again.
#[must_use]
pub fn rotate(processes: usize, rotations: u64, life: Duration, languages: &[Language]) -> Trial {
    let mut row = Trial::new(format!("{processes} processes, {rotations} tokens that expire"));
    let issuer = Issuer::start().expect("an issuer");
    let home = Home::new(issuer.realm(""), Server::RevokesFamilies, json!({}));
    home.sign_in();
    home.realm().run("configure", &json!({"access_ttl_ms": life.as_millis() as u64}));
    let languages = languages.iter().cycle().take(processes);
    let mut contenders: Vec<_> = languages.map(|language| home.begin(*language)).collect();
    contenders.iter_mut().for_each(Contender::wait_until_ready);
    let mut slowest = Duration::ZERO;
    for rotation in 1..=rotations {
        while home.fate().is_ok_and(|fate| fate.is_fresh) {
            pause(Duration::from_millis(10));
        }
        let start = Instant::now();
        contenders.iter_mut().for_each(Contender::go);
        for contender in &mut contenders {
            let answer = contender.answer();
            let who = contender.language();
            row.check(answer["status"] == 200, || format!("{rotation}, {who:?}: {answer}"));
        }
        slowest = slowest.max(start.elapsed());
        row.tried += 1;
        let stats = home.realm().stats();
        let redemptions = json!([stats["requests"], stats["grants"], stats["refused"]]);
        row.check(redemptions == json!([rotation, rotation, 0]), || {
            format!("{rotation}: requests, grants, refusals are {redemptions}")
        });
    }
    row.check(slowest < life / 2, || format!("a round took {slowest:?}: tokens live too short"));
    row.detail = format!("slowest round {slowest:.1?}");
    row
}
