//! One foreign program and one of ours, step by step: no step depends on who is faster.

use serde_json::{Value, json};

use super::{Program, Release, SharedLogin};
use crate::contender::{Contender, Language};
use crate::torture::Trial;

/// What happens on a scene.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// What it is about.
    pub name: &'static str,
    /// How long ours waits for a foreign winner's save, in seconds.
    pub(super) winner_wait: f64,
    /// A loss is an error; `true` is a loss that the guarantee excepts.
    pub(super) play: fn(&mut Scene) -> Result<bool, String>,
}

impl Script {
    pub(super) const fn new(
        name: &'static str,
        play: fn(&mut Scene) -> Result<bool, String>,
    ) -> Self {
        Self { name, winner_wait: 5.0, play }
    }
}

/// Who is there.
#[derive(Debug)]
pub struct Scene {
    pub(super) login: SharedLogin,
    pub(super) release: Release,
    pub(super) program: Program,
    pub(super) contender: Contender,
}

impl Scene {
    fn new(release: Release, language: Language, winner_wait: f64) -> Self {
        let login = SharedLogin::new(&json!({}));
        let program = Program::start(release, login.home(), login.realm());
        let contender = login.contender(language, &json!({"winner_wait": winner_wait}));
        Self { login, release, program, contender }
    }

    /// Plays a script with programs of every release and language, `rounds` times.
    #[must_use]
    pub fn play(
        script: Script,
        releases: &[Release],
        languages: &[Language],
        rounds: u32,
    ) -> Trial {
        let mut trial = Trial::new(script.name);
        for release in releases {
            for language in languages {
                for _ in 0..rounds {
                    let mut scene = Self::new(*release, *language, script.winner_wait);
                    let end = (script.play)(&mut scene).and_then(|excepted| {
                        let redemptions = &scene.stats()["max_redemptions"];
                        let is_one = redemptions.as_u64() <= Some(1);
                        if is_one { Ok(excepted) } else { Err(format!("{redemptions}")) }
                    });
                    trial.tried += 1;
                    trial.excepted += u64::from(end == Ok(true));
                    let (version, language) = (release.version, language.name());
                    trial.check(end.is_ok(), || format!("{version}, {language}: {end:?}"));
                }
            }
        }
        trial
    }

    pub(super) fn stats(&self) -> Value {
        self.login.realm().stats()
    }

    pub(super) fn control(&self, call: &str, arguments: &Value) {
        self.login.realm().run(call, arguments);
    }

    /// Waits until the issuer's statistics match.
    pub(super) fn wait(&self, until: &Value) {
        drop(self.login.realm().wait(until));
    }

    /// Lets ours make a request that must succeed.
    pub(super) fn request(&mut self) -> Result<(), String> {
        self.contender.go();
        self.succeeds()
    }

    /// Ours answers that its request succeeded.
    pub(super) fn succeeds(&mut self) -> Result<(), String> {
        let answer = self.contender.answer();
        expect(answer["status"] == 200, || format!("ours failed: {answer}, {}", self.stats()))
    }

    /// Ours answers with this error.
    pub(super) fn fails_with(&mut self, code: &str) -> Result<(), String> {
        let answer = self.contender.answer();
        // Rust says a reason for giving up as `GiveUp(LoggedOut)`, the others as `logged_out`.
        let plain = |text: &str| text.to_lowercase().replace('_', "");
        let is_it = plain(answer["error"].as_str().unwrap_or_default()).contains(&plain(code));
        expect(is_it, || format!("not {code} but {answer}"))
    }

    pub(super) fn is_live(&self) -> Result<(), String> {
        let stored = || self.login.stored();
        expect(self.login.is_live(), || format!("the stored login is dead: {:?}", stored()))
    }
}

/// An error unless `holds`.
pub(super) fn expect(holds: bool, loss: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(loss()) }
}
