//! The guarantees, as checks of single changes: each looks at what changes and at the records about
//! it, so that a check costs the same whatever the number of managers.

use std::time::Duration;

use codex_auth_sdk::{AuthMode, CodexAuth, RefusalReason};

use super::executor::ProcessId;
use super::journal::Event;
use super::ledger::{Client, PEOPLE, PairId, PersonId};
use super::record::{Content, Owners, untouched, wall};
use super::state::{Manner, State};

/// How long what a caller is told may lag behind the store.
const LAG: Duration = Duration::from_secs(1);

/// How long a process is not judged that was stopped: what it says it may have known before that.
const DAZE: Duration = Duration::from_secs(5);

/// How long others believe a refusal that one of them heard.
const VERDICT_LIFE: Duration = Duration::from_secs(59);

/// How long who heard a refusal without a reason believes it.
const UNAUTHORIZED_LIFE: Duration = Duration::from_secs(299);

/// How long a refusal is doubted, almost.
const WINNER_WAIT: Duration = Duration::from_millis(4900);

/// Requests to the token endpoint within a minute, whatever the number of managers.
const MOST_A_MINUTE: usize = 90;

/// No wait for one answer takes longer: the lock timeout, the deadline, and what a save may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60 + 45 + 25);

/// A turn with the lock, and what its last save may wait.
const LONGEST_HOLD: Duration = Duration::from_secs(45 + 45);

/// Requests for one token in one turn with the lock.
const MOST_ASKED: u32 = 4;

/// Rotations in a row after which young tokens may be given up.
const BURST: usize = 4;

/// Whom a call was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About {
    pub(super) pair: PairId,
    pub(super) person: PersonId,
}

impl State {
    /// Notes a broken guarantee unless `holds`.
    pub(super) fn check(&mut self, holds: bool, loss: impl FnOnce(&Self) -> String) {
        if !holds {
            let at = self.now().as_secs_f64();
            self.lost.push(format!("at {at:.4}: {}", loss(self)));
        }
    }

    /// Whose a snapshot is; none where it is no login in good order.
    pub(super) fn about(&self, auth: &CodexAuth) -> Option<About> {
        let pair = self.ledger.by_access(auth.access_token()?.expose())?;
        let person = self.ledger.person(pair);
        let owner = PEOPLE[person];
        let is_right = auth.account_id() == owner.account && auth.user_id() == owner.user;
        is_right.then_some(About { pair, person })
    }

    /// A request to the API with `auth`; its status.
    pub(super) fn sent(&mut self, process: ProcessId, auth: &CodexAuth) -> u16 {
        self.tally.requests += 1;
        if auth.mode() != AuthMode::ChatGpt {
            return 200;
        }
        let headers = auth.headers().expect("a login has a bearer token");
        let header = |name| headers.iter().find(|(known, _)| *known == name);
        let bearer = header("Authorization").map(|(_, value)| value.expose().to_owned());
        let account = header("ChatGPT-Account-ID").map(|(_, value)| value.expose().to_owned());
        let token = bearer.as_deref().and_then(|bearer| bearer.strip_prefix("Bearer "));
        let pair = token.and_then(|token| self.ledger.by_access(token));
        let Some(pair) = pair else {
            self.check(false, |_| format!("process {process} sent a token that nobody issued"));
            return 401;
        };
        let owner = PEOPLE[self.ledger.person(pair)];
        let is_right = account.as_deref() == owner.account
            && auth.user_id().is_none_or(|user| Some(user) == owner.user);
        let pin = self.manner(process).pin;
        self.check(pin.is_none() || account.as_deref() == pin, |_| {
            format!("process {process} is for {pin:?} only, and sent a request as {account:?}")
        });
        let is_graft = self.grafts.contains(&(pair, account.clone()));
        self.check(is_right || is_graft, |_| {
            format!("process {process} sent pair {pair} of {owner:?} as {account:?}")
        });
        let is_accepted = self.ledger.is_accepted(pair, self.now());
        self.ledger.pairs[pair].is_rejected |= !is_accepted;
        let status = if is_accepted { 200 } else { 401 };
        self.note(Event::Sent(process, Some(pair), status));
        status
    }

    /// A process that uses the SDK presents a refresh token.
    pub(super) fn present(&mut self, process: ProcessId, token: &str) -> Option<PairId> {
        let now = self.now();
        let pair = self.ledger.by_refresh(token);
        self.note(Event::Presented(Client::Sdk(process), pair));
        self.tally.presentations += 1;
        self.presented.retain(|at| *at + Duration::from_secs(60) > now);
        self.presented.push(now);
        let recent = self.presented.len();
        self.check(recent <= MOST_A_MINUTE, |_| format!("{recent} requests within a minute"));
        let is_locked = self.disk.holds(super::disk::Lock::Refresh, process);
        self.check(is_locked, |_| format!("process {process} redeems without the lock"));
        let only_adopts = self.manner(process).only_adopts;
        self.check(!only_adopts, |_| format!("process {process} redeems, and may not"));
        let Some(pair) = pair else {
            self.check(false, |_| format!("process {process} presents what nobody issued"));
            return None;
        };
        self.check_count(process, pair);
        self.check_need(process, pair);
        self.check_spent(process, pair);
        self.check_refused(process, pair);
        Some(pair)
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
        let is_needless = stored == pair && self.ledger.is_fresh(pair, self.now());
        self.check(!is_needless, |_| format!("process {process} redeems pair {pair} needlessly"));
        let is_old = stored != pair && self.ledger.is_live(stored);
        let is_long = self.changed + LAG < self.now() && !self.is_dazed(process);
        self.check(!(is_old && is_long), |_| {
            format!("process {process} presents pair {pair}, but the store has pair {stored}")
        });
    }

    /// A spent token is presented again only where nobody who uses the SDK can know that it is.
    fn check_spent(&mut self, process: ProcessId, pair: PairId) {
        let Some(spent) = self.ledger.pairs[pair].spent else { return };
        let next = &self.ledger.pairs[spent.successor];
        let Some(Client::Sdk(redeemer)) = next.holder else { return };
        let is_told = self.forgotten.is_none_or(|at| at < next.issued);
        let is_stored = next.is_stored && !next.is_orphan && is_told;
        let opened = self.opened_at(process);
        let remembers = redeemer == process && opened.is_some_and(|at| at <= next.issued);
        let knows = remembers || is_stored || (is_told && self.executor.is_alive(redeemer));
        self.check(!knows, |_| {
            format!(
                "process {process} presents pair {pair}, which process {redeemer} spent \
                 (successor stored: {is_stored})"
            )
        });
    }

    /// Who heard that a token is refused never asks again, and the others not at once.
    fn check_refused(&mut self, process: ProcessId, pair: PairId) {
        if self.has_disk_faults {
            // Who cannot read the store again believes no refusal.
            return;
        }
        let now = self.now();
        let changed = self.changed;
        let refusals = self.ledger.pairs[pair].refusals.clone();
        // One that was taken for the sign of a winner is forgotten once the store has changed.
        for (who, at) in refusals.into_iter().filter(|(_, at)| changed < *at) {
            let is_told = self.executor.is_alive(who)
                && now < at + VERDICT_LIFE
                && self.forgotten.is_none_or(|forgotten| forgotten < at);
            let life = match self.manners.refusal_reason {
                RefusalReason::Unauthorized => UNAUTHORIZED_LIFE,
                _ => Duration::MAX,
            };
            let remembers = who == process
                && self.opened_at(process).is_some_and(|opened| opened <= at)
                && now < at.saturating_add(life);
            let knows = remembers || is_told;
            self.check(!knows, |_| {
                format!("process {process} presents pair {pair}, which process {who} saw refused")
            });
        }
    }

    /// A process heard a clear refusal.
    pub(super) fn refused(&mut self, process: ProcessId, pair: Option<PairId>) {
        let now = self.now();
        if let Some(pair) = pair {
            self.ledger.pairs[pair].refusals.push((process, now));
        }
    }

    /// What the SDK writes is the next pair of the very login that is there, and nothing else.
    pub(super) fn check_write(
        &mut self,
        client: Client,
        before: Option<&Content>,
        after: Option<&Content>,
    ) {
        let Client::Sdk(process) = client else { return };
        let Some(after) = after else { return self.check_delete(process, before) };
        let is_locked = self.disk.holds(super::disk::Lock::Refresh, process);
        // What was there before may be put back by whoever has it.
        let is_back = after.pair(&self.ledger).is_some_and(|new| self.ledger.pairs[new].is_stored);
        self.check(is_locked || is_back, |_| format!("process {process} saves without the lock"));
        let owners = before.and_then(|before| before.owners);
        let (Some(before), Some(owners)) = (before, owners) else {
            return self
                .check(false, |_| format!("process {process} wrote a login where there was none"));
        };
        let (Some(new), Some(old)) = (after.pair(&self.ledger), owners.refresh) else {
            let is_seen = !self.is_hidden_mix(owners);
            return self.check(!is_seen, |_| {
                format!("process {process} wrote a mixed record: {:?}", after.owners)
            });
        };
        let families = (self.ledger.pairs[old].family, self.ledger.pairs[new].family);
        self.check(families.0 == families.1, |state| {
            let of = |family: usize| PEOPLE[state.ledger.families[family].person];
            format!(
                "process {process} wrote pair {new} of {:?} over another login, pair {old} of {:?}",
                of(families.1),
                of(families.0)
            )
        });
        // Where the refresh token stays, any access token of the login is as good as another.
        let written = after.parsed.as_ref().ok().and_then(|record| record.last_refresh);
        let issued = wall(self.ledger.pairs[new].issued);
        self.check(written.is_some_and(|at| at >= issued), |_| {
            format!("process {process} wrote pair {new} of {issued} as of {written:?}")
        });
        let is_newer = self.ledger.pairs[old].generation <= self.ledger.pairs[new].generation
            || !self.manners.rotates;
        self.check(is_newer, |_| format!("process {process} wrote pair {new} over {old}"));
        let kept = (before.json().map(untouched), after.json().map(untouched));
        self.check(kept.0 == kept.1, |_| {
            format!("process {process} changed what is not its own: {kept:?}")
        });
    }

    /// Whether a foreign program gave a login another account, and its id token does not tell.
    fn is_hidden_mix(&self, owners: Owners) -> bool {
        let owner = owners.refresh.map(|pair| PEOPLE[self.ledger.person(pair)]);
        !owners.is_account_right && owner.is_some_and(|owner| owner.claimed_account.is_none())
    }

    /// The SDK removes a login only for who signs out.
    fn check_delete(&mut self, process: ProcessId, before: Option<&Content>) {
        let wanted = self.members.get(&process).and_then(|member| member.signs_out);
        let found = before.and_then(|before| before.pair(&self.ledger));
        let Some(owner) = found.map(|found| self.ledger.person(found)) else { return };
        let pin = self.manner(process).pin;
        self.check(pin.is_none() || PEOPLE[owner].account == pin, |_| {
            format!("process {process} is for {pin:?} only, and signed {:?} out", PEOPLE[owner])
        });
        let Some(wanted) = wanted else { return };
        let is_known = PEOPLE[owner].account.is_some() && PEOPLE[wanted].account.is_some();
        self.check(!is_known || owner == wanted, |_| {
            format!(
                "process {process} signed {:?} out in the place of {:?}",
                PEOPLE[owner], PEOPLE[wanted]
            )
        });
    }

    /// A snapshot that a caller gets in the place of `about`'s is one of the same login.
    pub(super) fn adopted(&mut self, process: ProcessId, about: About, auth: &CodexAuth) {
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
    pub(super) fn reported(&mut self, process: ProcessId, life: u32, about: Option<About>) {
        let member = self.members.get_mut(&process).filter(|member| member.life == life);
        if let (Some(member), Some(about)) = (member, about) {
            member.rejected.insert(about.pair);
        }
    }

    /// A program looks at its snapshot, which is no older than what it had, unless the store is.
    pub(super) fn seen(&mut self, process: ProcessId, life: u32, auth: Option<&CodexAuth>) {
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
        if let Some(member) = self.members.get_mut(&process).filter(|_| !is_same) {
            member.has = about.map(|about| (about.pair, now));
        }
    }

    /// The refresh lock is not held for longer than its holder needs.
    pub(super) fn check_hold(&mut self) {
        let Some((process, since)) = self.held else { return };
        let took = self.now() - since;
        // A pair that cannot be saved keeps the lock, as long as half a record is in its way.
        let is_free = self.disk.content().is_none_or(|content| content.parsed.is_ok())
            && self.changed + Duration::from_secs(30) < self.now();
        let is_long = took > LONGEST_HOLD && is_free && !self.was_stopped(process, since);
        self.check(!is_long, |_| format!("process {process} has the lock for {took:?}"));
    }

    fn was_stopped(&self, process: ProcessId, since: Duration) -> bool {
        let member = self.members.get(&process);
        member
            .is_some_and(|member| member.is_stopped || member.resumed.is_some_and(|at| at > since))
    }

    /// What is there for a retry is not what was rejected before.
    pub(super) fn judge_retry(&mut self, process: ProcessId, life: u32, auth: Option<&CodexAuth>) {
        let Some(about) = auth.and_then(|auth| self.about(auth)) else { return };
        let member = self.members.get(&process).filter(|member| member.life == life);
        let is_known = member.is_some_and(|member| member.rejected.contains(&about.pair));
        let is_expired = self.ledger.pairs[about.pair].expires + LAG < self.now();
        let is_long = self.changed + LAG < self.now() && !self.is_dazed(process);
        self.check(!((is_known || is_expired) && is_long), |_| {
            format!("process {process} is to retry with pair {}, which is no good", about.pair)
        });
    }

    /// A call about `about` ended with `code`: nobody is told that a login is gone while the store
    /// holds it.
    pub(super) fn judge(&mut self, process: ProcessId, about: Option<About>, code: &'static str) {
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
                let rotations = self.recent_rotations();
                self.check(rotations >= BURST, |_| format!("{code} after {rotations} rotations"));
            }
            "store_corrupt" => {
                let is_whole = self.disk.content().is_none_or(|content| content.parsed.is_ok());
                let is_long = self.changed + LAG * 2 < now && !self.is_dazed(process);
                self.check(!(is_whole && is_long), |_| format!("process {process}: {code}"));
            }
            _ => {}
        }
    }

    /// Nobody is told that a token was used by another before that one had the time to save.
    fn check_patience(&mut self, process: ProcessId, code: &'static str) {
        let is_clear = self.manners.faults == 0.0 && self.manners.lost_replies == 0.0;
        let may_have_winner = ["refresh_token_reused", "refresh_token_rejected"].contains(&code);
        let stored = self.disk.content().and_then(|content| content.pair(&self.ledger));
        let Some(stored) = stored.filter(|_| is_clear && may_have_winner) else { return };
        let Some((_, first)) = self.ledger.pairs[stored].refusals.first().copied() else { return };
        let is_soon = first + WINNER_WAIT > self.now();
        self.check(!is_soon, |_| format!("process {process} was told {code} of {stored} too soon"));
    }

    /// `sync_from_storage` said `code` of a snapshot.
    pub(super) fn judge_sync(
        &mut self,
        process: ProcessId,
        about: Option<About>,
        code: &'static str,
    ) {
        let owners = self.disk.content().and_then(|content| content.owners);
        let is_mixed =
            owners.is_some_and(|owners| !owners.is_account_right && !self.is_hidden_mix(owners));
        let is_long = self.changed + LAG < self.now() && !self.is_dazed(process);
        self.check(!(is_mixed && is_long && code == "applied"), |_| {
            format!("process {process}: a record of two accounts is {code}")
        });
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

    /// The last request of a program ended with `code`; then it had a snapshot of `about`'s.
    pub(super) fn judge_end(
        &mut self,
        process: ProcessId,
        about: Option<About>,
        code: &'static str,
    ) {
        let manner = self.manner(process);
        let Some(alive) = self.alive.filter(|_| !manner.only_adopts) else { return };
        let account = PEOPLE[alive.person].account;
        let is_for_it = manner.pin.is_none() || manner.pin == account;
        let is_same = about.is_some_and(|about| about.person == alive.person) || account.is_none();
        let is_right = if is_for_it { code == "ok" && is_same } else { about.is_none() };
        self.check(is_right, |_| {
            format!("process {process} ends with {code} as {about:?}, but the store has {alive:?}")
        });
    }

    /// `fresh_auth` gave `auth`, which is not expired where anything could be done about that.
    pub(super) fn judge_fresh(&mut self, process: ProcessId, auth: Option<&CodexAuth>) {
        let now = self.now();
        let pair = auth.and_then(|auth| self.ledger.by_access(auth.access_token()?.expose()));
        let Some(pair) = pair.filter(|_| !self.manner(process).only_adopts) else { return };
        let is_expired = self.ledger.pairs[pair].expires + LAG < now && !self.is_dazed(process);
        self.check(!is_expired, |_| format!("process {process} got the expired pair {pair}"));
    }

    /// A call that began at `began` has ended.
    pub(super) fn judge_time(&mut self, process: ProcessId, what: &str, began: Duration) {
        let took = self.now() - began;
        let most = if what == "fresh_auth" { LONGEST_WAIT * 3 } else { LONGEST_WAIT };
        let is_late = took > most && !self.was_stopped(process, began);
        self.check(!is_late, |_| format!("{what} of process {process} took {took:?}"));
    }

    fn life_of(&self, process: ProcessId) -> Option<u32> {
        self.members.get(&process).map(|member| member.life)
    }

    fn opened_at(&self, process: ProcessId) -> Option<Duration> {
        self.members.get(&process).map(|member| member.opened)
    }

    fn manner(&self, process: ProcessId) -> Manner {
        self.members.get(&process).map(|member| member.manner).unwrap_or_default()
    }

    fn recent_rotations(&self) -> usize {
        let recent = |at: &&Duration| **at + Duration::from_secs(300) > self.now();
        self.rotations.iter().rev().take_while(recent).count()
    }

    fn is_dazed(&self, process: ProcessId) -> bool {
        let resumed = self.members.get(&process).and_then(|member| member.resumed);
        resumed.is_some_and(|at| at + DAZE > self.now())
    }
}
