//! All of it at the length of `make torture`.

use std::path::PathBuf;

use super::changes::{BY_RELEASE, OF_ANY_RELEASE};
use super::races::RACES;
use super::sessions::sessions;
use super::torn_reads::torn_reads;
use super::waking::Waking;
use super::{RELEASES, Release, Scene, Script, traced};
use crate::codex_cli::installed;
use crate::contender::Language;
use crate::privilege::is_tracing_denied;
use crate::torture::{Trial, Trials};

const ROUNDS: u32 = 10;

/// How long a grant and a refusal take.
const LATENCIES: [(u64, u64); 3] = [(0, 0), (300, 300), (800, 50)];

/// Against scripted programs.
#[must_use]
pub fn with_scripts() -> Trials {
    let releases = RELEASES.iter().map(std::slice::from_ref).chain([&RELEASES[..]]);
    let woken =
        releases.flat_map(|releases| wakings().map(move |waking| waking.with_scripts(releases)));
    let plays: [(&[Script], &[Release]); 3] =
        [(&RACES, &RELEASES), (&OF_ANY_RELEASE, &RELEASES[..1]), (&BY_RELEASE, &RELEASES)];
    let played = plays.into_iter().flat_map(|(scripts, releases)| {
        let play = |script: &Script| Scene::play(*script, releases, &Language::ALL, ROUNDS);
        scripts.iter().map(play)
    });
    let torn = std::iter::once_with(|| torn_reads(&Language::ALL, 2000));
    let saves: [fn() -> Trial; 2] =
        [|| traced::commit_locks(100), || traced::changes_before_our_write(ROUNDS)];
    let traced = saves.into_iter().filter(|_| !is_tracing_denied()).map(|traced| traced());
    Box::new(woken.chain(played).chain(torn).chain(traced))
}

/// Against the real CLIs.
#[must_use]
pub fn with_clis() -> Trials {
    Box::new(installed().into_iter().flat_map(with_cli))
}

fn with_cli(program: PathBuf) -> impl Iterator<Item = Trial> {
    let alone = wakings().map(|waking| Waking { languages: &[], ..waking });
    let wakings: Vec<_> = alone.zip(wakings()).flat_map(<[_; 2]>::from).collect();
    let (other, traced) = (program.clone(), program.clone());
    let woken = wakings.into_iter().map(move |waking| waking.with_clis(&program));
    let held = std::iter::once_with(move || sessions(&other, &Language::ALL));
    let saves = std::iter::once(traced)
        .filter(|_| !is_tracing_denied())
        .map(|program| traced::saves_of_a_cli_during_ours(&program, ROUNDS));
    woken.chain(held).chain(saves)
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
