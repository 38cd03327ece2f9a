//! What programs are told, and what they have in memory.

use std::time::Duration;

use codex_auth_sdk::CodexAuth;

use super::{About, LAG};
use crate::simulation::executor::ProcessId;
use crate::simulation::ledger::{PEOPLE, PairId};
use crate::simulation::state::{Alive, State};

/// How long a refusal is doubted, almost.
const WINNER_WAIT: Duration = Duration::from_millis(4900);

/// No wait for one answer takes longer: the lock timeout, the deadline, and what a save may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60 + 45 + 25);

/// Rotations in a row after which rejected tokens may be given up.
const BURST: usize = 4;

/// How long a token of another program is used whatever the clock says that was not measured.
const JUST_STORED: Duration = Duration::from_secs(62);

/// The part of a token's life in which one more rotation is allowed, and the least of that time.
const LIFE_SHARE: u32 = 8;
const SHORTEST_REFILL: Duration = Duration::from_secs(60);

impl State {
    /// A snapshot that a caller gets in the place of `about`'s is one of the same login.
    pub(in crate::simulation) fn adopted(
        &mut self,
        process: ProcessId,
        about: About,
        auth: &CodexAuth,
    ) {
        let Some(found) = self.about(auth) else { return };
        let family = |pair: PairId| self.ledger.pairs[pair].family;
        let is_known = PEOPLE[about.person].account.is_some();
        let is_same =
            found.person == about.person && (is_known || family(found.pair) == family(about.pair));
        self.check(is_same, |_| {
            format!("process {process} got pair {} for pair {}", found.pair, about.pair)
        });
        let is_new = found.pair != about.pair;
        self.check(is_new, |_| format!("process {process} got pair {} back", found.pair));
    }

    /// A process reports that the API has rejected the token of `about`.
    pub(in crate::simulation) fn reported(
        &mut self,
        process: ProcessId,
        life: u32,
        about: Option<About>,
    ) {
        let member = self.members.get_mut(&process).filter(|member| member.life == life);
        if let (Some(member), Some(about)) = (member, about) {
            member.rejected.insert(about.pair);
        }
    }

    /// A program looks at its snapshot, which is no older than what it had, unless the store is.
    pub(in crate::simulation) fn seen(
        &mut self,
        process: ProcessId,
        life: u32,
        auth: Option<&CodexAuth>,
    ) {
        if self.life_of(process) != Some(life) {
            return;
        }
        let about = auth.and_then(|auth| self.about(auth));
        let had = self.members.get(&process).and_then(|member| member.has);
        if let (Some(about), Some((had, since))) = (about, had) {
            let (old, new) = (&self.ledger.pairs[had], &self.ledger.pairs[about.pair]);
            let is_older = old.family == new.family && old.generation > new.generation;
            let is_ours = self.meddled < since && self.manners.rotates;
            self.check(!(is_older && is_ours), |_| {
                format!("process {process} had pair {had} and has pair {} again", about.pair)
            });
        }
        let now = self.now();
        let is_same = about.map(|about| about.pair) == had.map(|(pair, _)| pair);
        if let Some(member) = self.members.get_mut(&process) {
            if !is_same {
                member.has = about.map(|about| (about.pair, member.looked));
            }
            member.looked = now;
        }
    }

    /// A call about `about` ended with `code`: nobody is told that a login is gone while the store
    /// holds it.
    pub(in crate::simulation) fn judge(
        &mut self,
        process: ProcessId,
        about: Option<About>,
        code: &'static str,
    ) {
        let now = self.now();
        match code {
            "refresh_token_expired"
            | "refresh_token_reused"
            | "refresh_token_invalidated"
            | "refresh_token_rejected"
            | "logged_out"
            | "identity_mismatch"
            | "missing_identity" => {
                // Where nobody can tell whose a login is, a new one of the same person is another.
                let is_known = |about: &About| PEOPLE[about.person].account.is_some();
                let about = about.filter(|about| !self.is_dazed(process) && is_known(about));
                let Some(about) = about else { return };
                let alive = self.alive.filter(|alive| alive.person == about.person);
                let is_there = alive.is_some_and(|alive| alive.since + LAG < now);
                self.check(!is_there, |_| {
                    format!("process {process} was told {code}, but the store has {alive:?}")
                });
                self.check_patience(process, code);
            }
            "fresh_token_rejected" => {
                let is_due = self.has_used_up_its_rotations();
                self.check(is_due, |state| format!("{code} after {:?}", state.rotations));
            }
            "store_corrupt" => {
                let is_whole = self.disk.content().is_none_or(|content| content.parsed.is_ok());
                let is_long = self.changed + LAG * 2 < now && !self.is_dazed(process);
                self.check(!(is_whole && is_long), |_| format!("process {process}: {code}"));
            }
            _ => {}
        }
    }

    /// What is there for a retry is not what was rejected before.
    pub(in crate::simulation) fn judge_retry(
        &mut self,
        process: ProcessId,
        life: u32,
        auth: Option<&CodexAuth>,
    ) {
        let Some(about) = auth.and_then(|auth| self.about(auth)) else { return };
        let member = self.members.get(&process).filter(|member| member.life == life);
        let is_known = member.is_some_and(|member| member.rejected.contains(&about.pair));
        let is_expired = self.is_known_to_be_expired(process, about.pair);
        let is_long = self.changed + LAG < self.now() && !self.is_dazed(process);
        self.check(!((is_known || is_expired) && is_long), |_| {
            format!("process {process} is to retry with pair {}, which is no good", about.pair)
        });
    }

    /// `sync_from_storage` said `code` of a snapshot.
    pub(in crate::simulation) fn judge_sync(
        &mut self,
        process: ProcessId,
        about: Option<About>,
        code: &'static str,
    ) {
        let owners = self.disk.content().and_then(|content| content.owners);
        let is_long = self.changed + LAG < self.now() && !self.is_dazed(process);
        let stored = owners.and_then(|owners| owners.pair(&self.ledger));
        let (Some(about), Some(stored)) = (about, stored) else { return };
        let owner = self.ledger.person(stored);
        let is_known = PEOPLE[about.person].account.is_some() && PEOPLE[owner].account.is_some();
        let is_right = (owner == about.person) == (code == "applied");
        self.check(!is_long || !is_known || is_right, |_| {
            format!(
                "process {process}: the store's pair {stored} is {code} for pair {}",
                about.pair
            )
        });
    }

    /// `fresh_auth` gave `auth`, which is not expired where anything could be done about that.
    pub(in crate::simulation) fn judge_fresh(
        &mut self,
        process: ProcessId,
        auth: Option<&CodexAuth>,
    ) {
        let pair = auth.and_then(|auth| self.ledger.by_access(auth.access_token()?.expose()));
        let Some(pair) = pair.filter(|_| !self.manner(process).only_adopts) else { return };
        // What has ended before it arrived looks like the token of a clock that is behind.
        let known = &self.ledger.pairs[pair];
        let is_expired = known.delivered.1 < known.expires
            && self.is_known_to_be_expired(process, pair)
            && !self.is_dazed(process);
        self.check(!is_expired, |_| format!("process {process} got the expired pair {pair}"));
    }

    /// The last request of a program, which began at `began`, ended with `code`; then it had a snapshot of `about`'s.
    pub(in crate::simulation) fn judge_end(
        &mut self,
        process: ProcessId,
        about: Option<About>,
        code: &'static str,
        began: Duration,
    ) {
        let manner = self.manner(process);
        let is_for_all = |alive: &Alive| !manner.only_adopts && alive.since < began;
        let Some(alive) = self.alive.filter(is_for_all) else { return };
        let account = PEOPLE[alive.person].account;
        let is_for_it = manner.pin.is_none() || manner.pin == account;
        let is_same = about.is_some_and(|about| about.person == alive.person) || account.is_none();
        let is_right = if is_for_it { code == "ok" && is_same } else { about.is_none() };
        self.check(is_right, |_| {
            format!("process {process} ends with {code} as {about:?}, but the store has {alive:?}")
        });
    }

    /// A call that began at `began` has ended.
    pub(in crate::simulation) fn judge_time(
        &mut self,
        process: ProcessId,
        what: &str,
        began: Duration,
    ) {
        let took = self.now() - began;
        let most = if what == "fresh_auth" { LONGEST_WAIT * 3 } else { LONGEST_WAIT };
        let is_late = took > most && !self.was_stopped(process, began);
        self.check(!is_late, |_| format!("{what} of process {process} took {took:?}"));
    }

    /// Nobody is told that a token was used by another before that one had the time to save.
    fn check_patience(&mut self, process: ProcessId, code: &'static str) {
        let manners = &self.manners;
        let is_clear =
            manners.faults == 0.0 && manners.lost_replies == 0.0 && manners.mixups == 0.0;
        let may_have_winner = ["refresh_token_reused", "refresh_token_rejected"].contains(&code);
        let stored = self.disk.content().and_then(|content| content.pair(&self.ledger));
        let Some(stored) = stored.filter(|_| is_clear && may_have_winner) else { return };
        let Some(first) = self.ledger.pairs[stored].refusals.first().copied() else { return };
        let is_soon = first.heard_at + WINNER_WAIT > self.now();
        self.check(!is_soon, |_| format!("process {process} was told {code} of {stored} too soon"));
    }

    /// Whether the manager of `process` knows that the access token of `pair` has expired: by a clock
    /// that it has measured, or by one that it must trust since the token was stored a while ago.
    fn is_known_to_be_expired(&self, process: ProcessId, pair: PairId) -> bool {
        let (known, now) = (&self.ledger.pairs[pair], self.now());
        let is_old = known.stored.is_some_and(|at| at + JUST_STORED < now);
        let trusts_clock = self.has_heard(process) || (self.knows_time(process) && is_old);
        known.expires + self.ledger.precision() < now && trusts_clock
    }

    /// Whether there were more of the last rotations, however many one looks at, than a burst and
    /// what was allowed since the first of them.
    fn has_used_up_its_rotations(&self) -> bool {
        let refill = (self.life / LIFE_SHARE).max(SHORTEST_REFILL);
        let since = |at: &Duration| (self.now() - *at).as_secs_f64() / refill.as_secs_f64();
        let last = self.rotations.iter().rev().zip(1..);
        last.skip(BURST - 1)
            .any(|(first, count)| f64::from(count) > BURST as f64 - 1.0 + since(first))
    }
}
