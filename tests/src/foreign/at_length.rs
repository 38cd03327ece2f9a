//! All of it at the length of `make torture`.

use std::path::Path;

use super::changes::{BY_RELEASE, OF_ANY_RELEASE};
use super::races::RACES;
use super::sessions::sessions;
use super::torn_reads::torn_reads;
use super::waking::Waking;
use super::{RELEASES, Release, Scene, Script, traced};
use crate::codex_cli::installed;
use crate::contender::Language;
use crate::torture::Trial;

const ROUNDS: u32 = 10;

/// How long a grant and a refusal take.
const LATENCIES: [(u64, u64); 3] = [(0, 0), (300, 300), (800, 50)];

/// Against scripted programs.
#[must_use]
pub fn with_scripts() -> Vec<Trial> {
    let mut trials = Vec::new();
    for releases in RELEASES.iter().map(std::slice::from_ref).chain([&RELEASES[..]]) {
        trials.extend(wakings().map(|waking| waking.with_scripts(releases)));
    }
    let plays: [(&[Script], &[Release]); 3] =
        [(&RACES, &RELEASES), (&OF_ANY_RELEASE, &RELEASES[..1]), (&BY_RELEASE, &RELEASES)];
    for (scripts, releases) in plays {
        let play = |script: &Script| Scene::play(*script, releases, &Language::ALL, ROUNDS);
        trials.extend(scripts.iter().map(play));
    }
    trials.push(torn_reads(&Language::ALL, 2000));
    if traced::is_possible() {
        trials.push(traced::commit_locks(500));
        trials.push(traced::changes_before_our_write(ROUNDS));
    }
    trials
}

/// Against the real CLIs.
#[must_use]
pub fn with_clis() -> Vec<Trial> {
    installed().iter().flat_map(|program| with_cli(program)).collect()
}

fn with_cli(program: &Path) -> Vec<Trial> {
    let mut trials = Vec::new();
    for waking in wakings() {
        trials.push(Waking { languages: &[], ..waking }.with_clis(program));
        trials.push(waking.with_clis(program));
    }
    trials.push(sessions(program, &Language::ALL));
    if traced::is_possible() {
        trials.push(traced::saves_of_a_cli_during_ours(program, ROUNDS));
    }
    trials
}

fn wakings() -> impl Iterator<Item = Waking<'static>> {
    [2, 4, 8].into_iter().flat_map(|each| {
        LATENCIES.map(|(grant_ms, refusal_ms)| Waking {
            each,
            languages: &Language::ALL,
            rounds: ROUNDS,
            grant_ms,
            refusal_ms,
        })
    })
}
