//! Foreign programs and ours that find their access token dead at the same instant.

use std::path::Path;
use std::sync::Barrier;
use std::thread;

use serde_json::json;

use super::{Program, Release, Rival, SharedLogin};
use crate::codex_cli::CodexCli;
use crate::contender::{Contender, Language};
use crate::torture::Trial;

/// Who wakes, and how the server answers.
#[derive(Clone, Copy, Debug)]
pub struct Waking<'a> {
    /// How many foreign programs, and as many of ours.
    pub each: usize,
    /// What ours are written in, in turn; none for foreign programs among themselves.
    pub languages: &'a [Language],
    /// How often.
    pub rounds: u32,
    /// How long a grant takes.
    pub grant_ms: u64,
    /// How long a refusal takes.
    pub refusal_ms: u64,
}

impl Waking<'_> {
    /// Wakes scripted programs of these releases.
    #[must_use]
    pub fn with_scripts(&self, releases: &[Release]) -> Trial {
        let versions: Vec<_> = releases.iter().map(|release| release.version).collect();
        self.run(&format!("like {}", versions.join(", ")), |login, index| {
            let release = releases[index % releases.len()];
            Box::new(Program::start(release, login.home(), login.realm()))
        })
    }

    /// Wakes real CLIs that are idle.
    ///
    /// # Panics
    ///
    /// If they cannot be started.
    #[must_use]
    pub fn with_clis(&self, program: &Path) -> Trial {
        let name = program.parent().and_then(Path::file_name).unwrap_or_default();
        self.run(&name.to_string_lossy(), |login, _| {
            let cli = CodexCli::new(program, login.home(), login.realm(), "codex");
            Box::new(cli.expect("configured").app_server().expect("it starts"))
        })
    }

    fn run(&self, name: &str, start: impl Fn(&SharedLogin, usize) -> Box<dyn Rival>) -> Trial {
        let Self { each, languages, grant_ms, refusal_ms, .. } = *self;
        let ours = if languages.is_empty() { 0 } else { each };
        let what = format!("{each} {name}; {ours} of ours; {grant_ms}/{refusal_ms} ms");
        let mut trial = Trial::new(what);
        let config = json!({"grant_latency_ms": grant_ms, "refusal_latency_ms": refusal_ms});
        let login = SharedLogin::new(&config);
        let mut rivals: Vec<_> = (0..each).map(|index| start(&login, index)).collect();
        let languages = languages.iter().copied().cycle().take(ours);
        let mut contenders: Vec<_> =
            languages.map(|language| login.contender(language, &json!({}))).collect();
        let mut failed_turns = 0;
        for round in 0..self.rounds {
            // Of the same account, so that everybody follows; and old enough to be rejected.
            let name = format!("r{round}_");
            if round % 2 == 0 {
                login.sign_in(&name, "acct-a");
            } else {
                login.sign_in_expired(&name, "acct-a");
            }
            login.realm().run("kill_access", &json!({}));
            let (failed, lost) = wake(&mut rivals, &mut contenders);
            failed_turns += failed;
            trial.tried += 1;
            // A round takes seconds, where in real use it takes hours: so soon one after the other, the
            // rejections of young tokens put a request off. Its login is as good as before.
            let (put_off, lost): (Vec<_>, Vec<_>) =
                lost.into_iter().partition(|answer| is_put_off(answer));
            trial.excepted += put_off.len() as u64;
            // Two programs that write in place at once can leave what is no record. Ours replace it.
            if each > 1 && login.is_garbled() {
                trial.excepted += 1;
                continue;
            }
            trial.lost.extend(lost);
            trial.check(login.is_live_in_the_end(), || format!("round {round}: the login is dead"));
        }
        let stats = login.realm().stats();
        trial.check(stats["max_redemptions"] == 1, || format!("redeemed twice: {stats}"));
        let turns = each * self.rounds as usize;
        trial.detail = format!(
            "{failed_turns} of {turns} foreign turns failed; {} grants, {} refusals",
            stats["grants"], stats["refused"]
        );
        trial
    }
}

/// Returns whether a request was put off because young access tokens were rejected too often.
fn is_put_off(answer: &str) -> bool {
    ["fresh_token_rejected", "FreshTokenRejected"].iter().any(|it| answer.contains(it))
}

/// Has each program make one request. Returns how many foreign programs failed, and which of ours.
fn wake(rivals: &mut [Box<dyn Rival>], contenders: &mut [Contender]) -> (usize, Vec<String>) {
    let start = Barrier::new(rivals.len() + 1);
    thread::scope(|scope| {
        let turn = |rival: &mut Box<dyn Rival>| {
            start.wait();
            rival.turn()
        };
        let turns: Vec<_> =
            rivals.iter_mut().map(|rival| scope.spawn(move || turn(rival))).collect();
        start.wait();
        contenders.iter_mut().for_each(Contender::go);
        let mut lost = Vec::new();
        for contender in contenders {
            let answer = contender.answer();
            if answer["status"] != 200 {
                lost.push(format!("{}: {answer}", contender.language().name()));
            }
        }
        let ends = turns.into_iter().map(|turn| turn.join().expect("no panic"));
        (ends.filter(Result::is_err).count(), lost)
    })
}
