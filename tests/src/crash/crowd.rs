//! Contenders that share a login and need a new token at once.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::home::Home;
use super::lanes::below;
use super::signal::pause;
use crate::contender::{Contender, Language};

const SIZE: usize = 3;

pub(super) struct Crowd<'a> {
    pub(super) home: &'a Home,
    pub(super) contenders: Vec<Contender>,
    /// How long it takes until all have a new token.
    span: Duration,
}

impl<'a> Crowd<'a> {
    pub(super) fn gather(home: &'a Home, languages: &[Language]) -> Self {
        let languages = languages.iter().cycle().take(SIZE);
        let contenders = languages.map(|language| home.start(*language)).collect();
        let mut crowd = Self { home, contenders, span: Duration::ZERO };
        // Twice, since the first refresh of a process is the slowest.
        for _ in 0..2 {
            home.sign_in();
            let start = Instant::now();
            crowd.go();
            let answers = crowd.answers();
            assert!(answers.iter().all(|answer| answer["status"] == 200), "{answers:?}");
            crowd.span = start.elapsed();
        }
        crowd
    }

    /// Each makes a request.
    pub(super) fn go(&mut self) {
        self.contenders.iter_mut().for_each(Contender::go);
    }

    /// What each says of it.
    pub(super) fn answers(&mut self) -> Vec<Value> {
        self.contenders.iter_mut().map(Contender::answer).collect()
    }

    /// Any of them; more often than not the one that is refreshing.
    pub(super) fn someone(&mut self) -> usize {
        let holder = self.holder().filter(|_| below(3) > 0);
        holder.unwrap_or_else(|| below(self.contenders.len()))
    }

    /// The one that holds a lock.
    fn holder(&mut self) -> Option<usize> {
        let locks = std::fs::read_to_string("/proc/locks").expect("Linux");
        // `1: FLOCK  ADVISORY  WRITE 4711 08:01:4712 0 EOF`
        let holders = locks.lines().filter_map(|line| line.split_whitespace().nth(4));
        let holders: Vec<u32> = holders.filter_map(|process| process.parse().ok()).collect();
        let holds = |contender: &mut Contender| holders.contains(&contender.process().id());
        self.contenders.iter_mut().position(holds)
    }

    /// Lets them refresh a new login up to a random instant.
    pub(super) fn refresh_for_a_while(&mut self) {
        self.home.sign_in();
        self.go();
        pause(self.span.mul_f64(below(1000) as f64 / 1000.0));
    }
}
