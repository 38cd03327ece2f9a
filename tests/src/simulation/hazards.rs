//! What can go wrong in one run. A seed decides which of it and how often: a run with everything at
//! once hides what a run with one thing shows.

use std::time::Duration;

use codex_auth_sdk::token_endpoint::RefusalReason;

use super::Kind;
use super::ledger::{PEOPLE, PersonId};
use crate::chance::Chance;

/// The issuer's manners.
#[derive(Debug, Clone)]
pub(super) struct Manners {
    pub(super) revokes_families: bool,
    /// So long a spent token is granted again, with the same successor.
    pub(super) grace: Duration,
    pub(super) rotates: bool,
    /// Whether a token is spent at the end of the time that its grant takes.
    pub(super) spends_late: bool,
    pub(super) omits_id: bool,
    /// How a spent token is refused.
    pub(super) refusal_reason: RefusalReason,
    /// The probability that a grant holds another account's tokens.
    pub(super) mixups: f64,
    /// Milliseconds, at least and at most.
    pub(super) grant: (u64, u64),
    pub(super) refusal: (u64, u64),
    /// Probabilities: no clear answer, and a reply that is lost after the token was spent.
    pub(super) faults: f64,
    pub(super) lost_replies: f64,
    /// Times in which the issuer answers nothing of use.
    pub(super) outages: usize,
}

/// Things that foreign programs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Foreign {
    /// Redeems what it has in memory, and writes it into whatever the store holds, in place and
    /// without a lock: a Codex CLI before 0.128, say.
    OldCli,
    /// Reads the store first, redeems, and saves under the commit lock if nothing has changed: a
    /// Codex CLI since 0.169.
    NewCli,
    /// The same as an old CLI, and saves seconds later.
    LateSaver,
    /// The same, and dies before it saves.
    NeverSaver,
    /// Reads the record and writes it again a moment later, with a change of its own.
    Editor,
    /// Deletes the record, under the commit lock, and may revoke it first.
    Logout,
    /// Puts an API key in the place of the login.
    ApiKey,
    /// Holds the commit lock for longer than a save should take.
    Stuck,
    /// Writes another account's name over that of the login.
    Mixer,
}

const FOREIGN: [Foreign; 9] = [
    Foreign::OldCli,
    Foreign::NewCli,
    Foreign::LateSaver,
    Foreign::NeverSaver,
    Foreign::Editor,
    Foreign::Logout,
    Foreign::ApiKey,
    Foreign::Stuck,
    Foreign::Mixer,
];

/// By how much wall clocks are wrong.
const WRONG: [i64; 6] = [160, -160, 7200, -7200, 100_000_000, -100_000_000];

/// How one run goes. The counts are of what happens in the whole run.
#[derive(Debug, Clone)]
pub(super) struct Hazards {
    pub(super) managers: usize,
    /// The shares of managers that may not redeem, and of those for one account only.
    pub(super) only_adopt: f64,
    pub(super) pinned: f64,
    /// When programs and hazards end, and everybody is asked once more.
    pub(super) horizon: Duration,
    /// Of access tokens.
    pub(super) life: Duration,
    /// By how many seconds the machine's wall clock is ahead of the issuer's.
    pub(super) ahead: i64,
    /// The longest pause between two requests of a program.
    pub(super) think: Duration,
    /// Whether the store must be asked, as a keyring; else it is a file.
    pub(super) is_asked: bool,
    pub(super) people: Vec<PersonId>,
    pub(super) manners: Manners,
    pub(super) sign_ins: usize,
    pub(super) logouts: usize,
    /// Access tokens that the server kills, which everybody notices at once.
    pub(super) kills: usize,
    /// Logins that the server revokes.
    pub(super) revocations: usize,
    pub(super) crashes: usize,
    /// The probability that a process dies at one step of a save.
    pub(super) deadly_steps: f64,
    /// The probability that who dies with the refresh lock leaves half a record in it.
    pub(super) torn_ledgers: f64,
    pub(super) stops: usize,
    pub(super) disk_faults: f64,
    /// The probability that a save fails.
    pub(super) failing_saves: f64,
    /// The probability that a caller does not wait for its answer.
    pub(super) cancels: f64,
    pub(super) foreign: Vec<Foreign>,
    pub(super) foreign_turns: usize,
    /// The probability that a new login is written in place and without a lock.
    pub(super) old_sign_ins: f64,
}

impl Hazards {
    /// Those of a run in which nothing goes wrong.
    pub(super) fn none(managers: usize) -> Self {
        Self {
            managers,
            only_adopt: 0.0,
            pinned: 0.0,
            horizon: Duration::from_secs(3600),
            life: Duration::from_secs(3600),
            ahead: 0,
            think: Duration::from_secs(3600),
            is_asked: false,
            people: vec![0],
            manners: Manners {
                revokes_families: true,
                grace: Duration::ZERO,
                rotates: true,
                spends_late: false,
                omits_id: false,
                refusal_reason: RefusalReason::Reused,
                mixups: 0.0,
                grant: (300, 300),
                refusal: (50, 50),
                faults: 0.0,
                lost_replies: 0.0,
                outages: 0,
            },
            sign_ins: 0,
            logouts: 0,
            kills: 0,
            revocations: 0,
            crashes: 0,
            deadly_steps: 0.0,
            torn_ledgers: 0.0,
            stops: 0,
            disk_faults: 0.0,
            failing_saves: 0.0,
            cancels: 0.0,
            foreign: Vec::new(),
            foreign_turns: 0,
            old_sign_ins: 0.0,
        }
    }

    /// The probability that a program signs out rather than makes a request.
    pub(super) fn logout_odds(&self) -> f64 {
        let requests = self.managers as f64 * self.horizon.as_secs_f64() / self.think.as_secs_f64();
        self.logouts as f64 / (requests * 2.0)
    }

    pub(super) fn drawn(kind: Kind, managers: usize, chance: &Chance) -> Self {
        let some = |odds: f64, most: usize| {
            if chance.happens(odds) { 1 + chance.below(most) } else { 0 }
        };
        let rarely = |odds: f64, rate: f64| if chance.happens(odds) { rate } else { 0.0 };
        let many = 1 + managers / 100;
        let accounts = kind == Kind::Accounts;
        let life = Duration::from_secs(chance.pick(&[120, 600, 3600]));
        let foreign: Vec<_> = FOREIGN.into_iter().filter(|_| chance.happens(0.5)).collect();
        let none = Self::none(managers);
        Self {
            only_adopt: 0.05,
            pinned: 0.05,
            horizon: life * 2 + Duration::from_secs(300),
            life,
            ahead: if chance.happens(0.3) { chance.pick(&WRONG) } else { 0 },
            think: life / if managers < 1000 { 3 } else { 1 },
            is_asked: chance.happens(0.2),
            people: people(accounts, chance),
            manners: Manners::drawn(chance),
            sign_ins: some(if accounts { 1.0 } else { 0.4 }, 6),
            logouts: some(if accounts { 0.7 } else { 0.2 }, 3),
            kills: some(0.8, 6),
            revocations: some(0.1, 2),
            crashes: some(0.5, 4) * many,
            deadly_steps: rarely(0.3, 0.1),
            torn_ledgers: rarely(0.2, 0.5),
            stops: some(0.4, 3) * many,
            disk_faults: rarely(0.25, 0.02),
            failing_saves: rarely(0.2, 0.4),
            cancels: rarely(0.5, 0.3),
            foreign_turns: if foreign.is_empty() { 0 } else { some(0.6, 8) },
            foreign,
            old_sign_ins: rarely(0.5, 0.5),
            ..none
        }
    }
}

impl Manners {
    fn drawn(chance: &Chance) -> Self {
        use RefusalReason::{InvalidGrant, Reused, Unauthorized};
        let rarely = |odds: f64, rate: f64| if chance.happens(odds) { rate } else { 0.0 };
        Self {
            revokes_families: chance.happens(0.5),
            grace: Duration::from_secs(chance.pick(&[0, 0, 30])),
            rotates: chance.happens(0.85),
            spends_late: chance.happens(0.3),
            omits_id: chance.happens(0.2),
            refusal_reason: chance.pick(&[Reused, Reused, InvalidGrant, Unauthorized]),
            mixups: rarely(0.1, 0.1),
            grant: chance.pick(&[(50, 400), (500, 2500), (100, 15_000)]),
            refusal: chance.pick(&[(0, 20), (50, 400)]),
            faults: rarely(0.3, 0.3),
            lost_replies: rarely(0.3, 0.15),
            outages: usize::from(chance.happens(0.15)),
        }
    }
}

/// Everybody, or a few; one person alone where accounts are not the point.
fn people(accounts: bool, chance: &Chance) -> Vec<PersonId> {
    let all = 0..PEOPLE.len();
    if accounts || chance.happens(0.3) {
        let start = chance.below(PEOPLE.len());
        let count = 1 + chance.below(PEOPLE.len());
        all.cycle().skip(start).take(count).collect()
    } else {
        vec![chance.below(PEOPLE.len())]
    }
}
