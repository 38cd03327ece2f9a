//! Who presents a refresh token, which one, and how often.

use std::time::Duration;

use codex_auth_sdk::token_endpoint::RefusalReason;

use super::LAG;
use crate::simulation::disk::Lock;
use crate::simulation::executor::ProcessId;
use crate::simulation::journal::Event;
use crate::simulation::ledger::{Client, Life, PairId, Refusal};
use crate::simulation::state::State;

/// How long others believe a refusal that one of them heard.
const VERDICT_LIFE: Duration = Duration::from_secs(59);

/// How long who heard a refusal without a reason believes it.
const UNAUTHORIZED_LIFE: Duration = Duration::from_secs(299);

/// Requests to the token endpoint within a minute, whatever the number of managers.
const MOST_A_MINUTE: usize = 90;

/// A turn with the lock, and what its last save may wait.
const LONGEST_HOLD: Duration = Duration::from_secs(45 + 45);

/// Requests for one token in one turn with the lock.
const MOST_ASKED: u32 = 4;

impl State {
    /// A process that uses the SDK presents a refresh token.
    pub(in crate::simulation) fn present(&mut self, life: Life, token: &str) -> Option<PairId> {
        let (process, _) = life;
        let now = self.now();
        let pair = self.ledger.by_refresh(token);
        self.note(Event::Presented(Client::Sdk(process), pair));
        self.tally.presentations += 1;
        self.presented.retain(|at| *at + Duration::from_secs(60) > now);
        self.presented.push(now);
        let recent = self.presented.len();
        self.check(recent <= MOST_A_MINUTE, |_| format!("{recent} requests within a minute"));
        let is_locked = self.disk.holds(Lock::Refresh, process);
        self.check(is_locked, |_| format!("process {process} redeems without the lock"));
        let only_adopts = self.manner(process).only_adopts;
        self.check(!only_adopts, |_| format!("process {process} redeems, and may not"));
        let Some(pair) = pair else {
            self.check(false, |_| format!("process {process} presents what nobody issued"));
            return None;
        };
        self.check_count(process, pair);
        self.check_need(process, pair);
        self.check_spent(life, pair);
        self.check_refused(life, pair);
        Some(pair)
    }

    /// A manager heard a clear refusal.
    pub(in crate::simulation) fn refused(
        &mut self,
        heard_by: Life,
        pair: Option<PairId>,
        asked_at: Duration,
    ) {
        let heard_at = self.now();
        if let Some(pair) = pair {
            self.ledger.pairs[pair].refusals.push(Refusal { heard_by, asked_at, heard_at });
        }
    }

    /// The refresh lock is not held for longer than its holder needs.
    pub(in crate::simulation) fn check_hold(&mut self) {
        let Some((process, since)) = self.held else { return };
        let took = self.now() - since;
        // A pair that cannot be saved keeps the lock, as long as half a record is in its way.
        let is_free = self.disk.content().is_none_or(|content| content.parsed.is_ok())
            && self.changed + Duration::from_secs(30) < self.now();
        let is_long = took > LONGEST_HOLD && is_free && !self.was_stopped(process, since);
        self.check(!is_long, |_| format!("process {process} has the lock for {took:?}"));
    }

    /// A holder of the lock asks a few times only.
    fn check_count(&mut self, process: ProcessId, pair: PairId) {
        let Some(member) = self.members.get_mut(&process) else { return };
        let times =
            member.asked.filter(|(asked, _)| *asked == pair).map_or(1, |(_, times)| times + 1);
        member.asked = Some((pair, times));
        self.check(times <= MOST_ASKED, |_| {
            format!("process {process} presents pair {pair} for the {times}th time")
        });
    }

    /// Nobody redeems where the access token is still good.
    fn check_need(&mut self, process: ProcessId, pair: PairId) {
        let stored = self.disk.content().and_then(|content| content.pair(&self.ledger));
        let Some(stored) = stored.filter(|_| self.manners.rotates) else { return };
        let is_fresh = self.ledger.is_fresh(pair, self.now());
        let is_needless = stored == pair && is_fresh && self.knows_time(process);
        self.check(!is_needless, |_| format!("process {process} redeems pair {pair} needlessly"));
        let is_old = stored != pair && self.ledger.is_live(stored);
        let is_long = self.changed + LAG < self.now() && !self.is_dazed(process);
        self.check(!(is_old && is_long), |_| {
            format!("process {process} presents pair {pair}, but the store has pair {stored}")
        });
    }

    /// A spent token is presented again only where nobody who uses the SDK can know that it is.
    fn check_spent(&mut self, life: Life, pair: PairId) {
        let (process, _) = life;
        let Some(spent) = self.ledger.pairs[pair].spent else { return };
        let next = &self.ledger.pairs[spent.successor];
        let Some(Client::Sdk(redeemer)) = next.holder else { return };
        let is_told = self.forgotten.is_none_or(|at| at < next.issued);
        let is_stored = next.stored.is_some() && !next.is_orphan && is_told;
        let remembers = (redeemer, next.delivered.0) == life;
        let knows = remembers || is_stored || (is_told && self.executor.is_alive(redeemer));
        self.check(!knows, |_| {
            format!(
                "process {process} presents pair {pair}, which process {redeemer} spent \
                 (successor stored: {is_stored})"
            )
        });
    }

    /// Who heard that a token is refused never asks again, and the others not at once.
    fn check_refused(&mut self, life: Life, pair: PairId) {
        if self.has_disk_faults {
            // Who cannot read the store again believes no refusal.
            return;
        }
        let now = self.now();
        let changed = self.changed;
        let refusals = self.ledger.pairs[pair].refusals.clone();
        // One that was taken for the sign of a winner is forgotten once the store has changed.
        for refusal in refusals.into_iter().filter(|refusal| changed < refusal.asked_at) {
            let (who, at) = (refusal.heard_by, refusal.heard_at);
            let is_told = self.executor.is_alive(who.0)
                && now < at + VERDICT_LIFE
                && self.forgotten.is_none_or(|forgotten| forgotten < at);
            let believed = match self.manners.refusal_reason {
                RefusalReason::Unauthorized => UNAUTHORIZED_LIFE,
                _ => Duration::MAX,
            };
            let remembers = who == life && now < at.saturating_add(believed);
            let knows = remembers || is_told;
            self.check(!knows, |_| {
                let (process, who) = (life.0, who.0);
                format!("process {process} presents pair {pair}, which process {who} saw refused")
            });
        }
    }
}
