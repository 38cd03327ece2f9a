//! Many processes on one login whose server is of no help.

use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::contender::{Contender, Language};
use crate::issuer::{Issuer, Realm};
use crate::torture::Trial;

/// Rotations that rejected young tokens may cause at once, and one more a minute.
const BUCKET: u64 = 4;

/// A login and the processes that share it.
struct Crowd {
    realm: Realm,
    contenders: Vec<Contender>,
    _home: TempDir,
    _issuer: Issuer,
}

impl Crowd {
    /// So many, in turn of these languages, all with a manager.
    fn gather(
        languages: &[Language],
        processes: usize,
        access_age_s: i64,
        prepare: impl FnOnce(&Realm),
    ) -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let realm = issuer.realm("");
        let login = realm.call("login", &json!({"name": "a", "access_age_s": access_age_s}));
        let home = tempfile::tempdir().expect("a folder");
        let text = login["text"].as_str().expect("a record");
        std::fs::write(home.path().join("auth.json"), text).expect("written");
        prepare(&realm);
        let options = json!({"winner_wait": 1});
        let start = |language| Contender::start(language, home.path(), &realm, &options);
        let languages = languages.iter().copied().cycle().take(processes);
        let mut contenders: Vec<_> = languages.map(start).collect();
        contenders.iter_mut().for_each(Contender::wait_until_ready);
        Self { realm, contenders, _home: home, _issuer: issuer }
    }

    /// Lets all of them make a request at once.
    fn ask(&mut self) -> Vec<Value> {
        self.contenders.iter_mut().for_each(Contender::go);
        self.contenders.iter_mut().map(Contender::answer).collect()
    }

    fn count(&self, name: &str) -> u64 {
        self.realm.stats()[name].as_u64().expect("a number")
    }
}

/// The API answers 401 to every token, fresh ones too, and all processes ask it `rounds` times.
#[must_use]
pub fn rejecting_api(languages: &[Language], processes: usize, rounds: usize) -> Trial {
    let mut trial = Trial::new(format!("an API that rejects every token, {processes} processes"));
    let start = Instant::now();
    let mut crowd = Crowd::gather(languages, processes, 300, |realm| {
        realm.run("configure", &json!({"api_reject_all": true}));
    });
    for _ in 0..rounds {
        for answer in crowd.ask() {
            trial.tried += 1;
            // Each language says it in its own way.
            let said = answer["error"].as_str().unwrap_or_default().to_lowercase().replace('_', "");
            let is_known = said.contains("freshtokenrejected") || said.contains("exhausted");
            trial.check(is_known, || format!("{answer}"));
        }
    }
    let minutes = start.elapsed().as_secs() / 60;
    let grants = crowd.count("grants");
    trial.check((BUCKET..=BUCKET + minutes).contains(&grants), || {
        format!("{grants} rotations in {minutes} minutes")
    });
    trial.detail = format!("{grants} rotations, {} rejections", crowd.count("api_unauthorized"));
    trial
}

/// The refresh token is spent, by somebody who has not saved what it brought.
#[must_use]
pub fn dead_login(languages: &[Language], processes: usize) -> Trial {
    let mut trial = Trial::new(format!("a dead login, {processes} processes"));
    let mut crowd = Crowd::gather(languages, processes, 7200, |realm| {
        realm.run("rotate", &json!({"token": "a0"}));
    });
    for answer in crowd.ask() {
        trial.tried += 1;
        trial.check(answer["error"] == "refresh_token_reused", || format!("{answer}"));
    }
    let (requests, refused) = (crowd.count("requests"), crowd.count("refused"));
    trial
        .check((requests, refused) == (1, 1), || format!("{requests} requests, {refused} refused"));
    trial.detail = format!("{requests} request");
    trial
}

/// The token endpoint is out of order, for longer than anybody waits.
#[must_use]
pub fn outage(languages: &[Language], processes: usize) -> Trial {
    let mut trial = Trial::new(format!("a token endpoint out of order, {processes} processes"));
    let start = Instant::now();
    let mut crowd = Crowd::gather(languages, processes, 7200, |realm| {
        realm.run("faults", &json!({"kind": "status", "status": 503, "forever": true}));
    });
    for answer in crowd.ask() {
        trial.tried += 1;
        trial.check(answer["error"] == "refresh_transient", || format!("{answer}"));
    }
    // At most four requests, then a rest of a second or more.
    let (requests, seconds) = (crowd.count("requests"), start.elapsed().as_secs());
    trial.check(requests <= 4 * (seconds + 1), || format!("{requests} requests in {seconds} s"));
    trial.detail = format!("{requests} requests in {seconds} s");
    trial
}
