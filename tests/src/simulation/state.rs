//! What is so at one moment, and how it changes. Every change passes the rules on its way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::disk::{Disk, Lock};
use super::executor::{Executor, ProcessId};
use super::hazards::{Hazards, Manners};
use super::journal::{Event, Journal};
use super::ledger::{Client, FamilyId, Ledger, PEOPLE, PairId, PersonId, Request, Spent};
use super::record::{Content, mint};
use super::tally::Tally;

/// See the module.
pub(super) struct State {
    pub(super) executor: Executor,
    pub(super) disk: Disk,
    pub(super) ledger: Ledger,
    pub(super) journal: Journal,
    pub(super) tally: Tally,
    pub(super) manners: Manners,
    pub(super) life: Duration,
    pub(super) has_disk_faults: bool,
    /// Broken guarantees.
    pub(super) lost: Vec<String>,
    /// Processes that use the SDK.
    pub(super) members: HashMap<ProcessId, Member>,
    /// Those that run, in no order.
    pub(super) running: Vec<ProcessId>,
    /// Calls of the SDK that have not ended, by when they began.
    pub(super) calls: BTreeMap<(Duration, u64), ProcessId>,
    pub(super) last_call: u64,
    /// The good login that the store holds.
    pub(super) alive: Option<Alive>,
    /// When the file was last written, or half-written.
    pub(super) changed: Duration,
    /// When a foreign program last wrote it.
    pub(super) meddled: Duration,
    /// Logins with an account that a foreign program has given them.
    pub(super) grafts: HashSet<(FamilyId, Option<String>)>,
    /// When the SDK was granted tokens.
    pub(super) rotations: Vec<Duration>,
    pub(super) presented: Vec<Duration>,
    /// When what the holders of the refresh lock told each other was last lost.
    pub(super) forgotten: Option<Duration>,
    /// The issuer answers nothing of use.
    pub(super) is_down: bool,
    /// Who took the refresh lock last, and when.
    pub(super) held: Option<(ProcessId, Duration)>,
    torn_ledgers: f64,
}

/// How a program uses the SDK.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// It may not redeem.
    pub(super) only_adopts: bool,
    /// The only account that it is for.
    pub(super) pin: Option<&'static str>,
}

/// A process that uses the SDK.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) manner: Manner,
    /// The pair that it was granted since it took the refresh lock.
    pub(super) in_hand: Option<PairId>,
    /// The pair of its snapshot, and when it first had that.
    pub(super) has: Option<(PairId, Duration)>,
    /// The token that it presents, and how often since it took the refresh lock.
    pub(super) asked: Option<(PairId, u32)>,
    /// Counts the managers that it made, one after the other.
    pub(super) life: u32,
    /// When its snapshot was last looked at.
    pub(super) looked: Duration,
    pub(super) is_stopped: bool,
    /// When it was last stopped and ran again.
    pub(super) resumed: Option<Duration>,
    /// Whom it is signing out; none while it is not, or where nobody can tell.
    pub(super) signs_out: Option<PersonId>,
    /// The life in which it last heard from the issuer, and so what time it is there.
    pub(super) has_heard: Option<u32>,
    /// Pairs whose access tokens it reported as rejected.
    pub(super) rejected: HashSet<PairId>,
    pub(super) calls: usize,
}

/// A login that the store has held for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alive {
    pub(super) person: PersonId,
    pub(super) family: FamilyId,
    pub(super) since: Duration,
}

/// What the issuer says of a refresh token.
pub(super) enum Ruling {
    Granted(PairId),
    Reused,
    Invalidated,
}

impl State {
    pub(super) fn new(executor: Executor, hazards: &Hazards, keeps_all: bool) -> Self {
        Self {
            executor,
            disk: Disk::default(),
            ledger: Ledger::new(hazards.ahead),
            journal: Journal::new(keeps_all),
            tally: Tally::default(),
            manners: hazards.manners.clone(),
            life: hazards.life,
            lost: Vec::new(),
            members: HashMap::new(),
            running: Vec::new(),
            calls: BTreeMap::new(),
            last_call: 0,
            alive: None,
            changed: Duration::ZERO,
            meddled: Duration::ZERO,
            grafts: HashSet::new(),
            rotations: Vec::new(),
            has_disk_faults: hazards.disk_faults > 0.0,
            presented: Vec::new(),
            forgotten: None,
            is_down: false,
            held: None,
            torn_ledgers: hazards.torn_ledgers,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.executor.now()
    }

    pub(super) fn note(&mut self, event: Event) {
        let now = self.now();
        self.journal.note(now, event);
    }

    pub(super) fn started(&mut self, process: ProcessId, manner: Manner) {
        self.note(Event::Started(process));
        self.members.insert(process, Member { manner, ..Member::default() });
        self.running.push(process);
    }

    pub(super) fn opened(&mut self, process: ProcessId, life: u32) {
        let now = self.now();
        self.note(Event::Opened(process, life));
        if let Some(member) = self.members.get_mut(&process) {
            member.looked = now;
            member.life = life;
            member.rejected.clear();
            member.has = None;
        }
    }

    /// Whether it was one that uses the SDK; `luck` is a number from 0 to below 1.
    pub(super) fn killed(&mut self, process: ProcessId, luck: f64) -> bool {
        self.note(Event::Killed(process));
        if self.disk.holds(Lock::Refresh, process) && luck < self.torn_ledgers {
            let half = self.disk.ledger.len() / 2;
            self.disk.ledger.truncate(half);
            self.forgotten = Some(self.now());
        }
        if self.disk.holds(Lock::Refresh, process) {
            self.held = None;
        }
        self.disk.release_all(process);
        if let Some(pair) = self.members.get(&process).and_then(|member| member.in_hand) {
            self.ledger.pairs[pair].is_orphan = true;
        }
        self.calls.retain(|_, caller| *caller != process);
        let at = self.running.iter().position(|running| *running == process);
        let was_program = at.map(|at| self.running.swap_remove(at)).is_some();
        self.tally.crashes += u64::from(was_program);
        was_program
    }

    pub(super) fn stopped(&mut self, process: ProcessId) {
        self.note(Event::Stopped(process));
        self.tally.stops += 1;
        if let Some(member) = self.members.get_mut(&process) {
            member.is_stopped = true;
        }
    }

    pub(super) fn resumed(&mut self, process: ProcessId) {
        self.note(Event::Resumed(process));
        let now = self.now();
        if let Some(member) = self.members.get_mut(&process) {
            member.resumed = Some(now);
            member.is_stopped = false;
        }
    }

    pub(super) fn locked(&mut self, process: ProcessId) {
        self.note(Event::Locked(process));
        self.held = Some((process, self.now()));
        if let Some(member) = self.members.get_mut(&process) {
            member.asked = None;
        }
    }

    pub(super) fn unlocked(&mut self, process: ProcessId) {
        self.note(Event::Unlocked(process));
        self.check_hold();
        self.held = None;
        let in_hand = self.members.get_mut(&process).and_then(|member| member.in_hand.take());
        if let Some(pair) = in_hand.filter(|pair| self.ledger.pairs[*pair].stored.is_none()) {
            self.check_put_aside(process, pair);
            self.ledger.pairs[pair].is_put_aside = true;
        }
    }

    pub(super) fn failed(&mut self, process: ProcessId, what: &'static str) {
        self.note(Event::Failed(process, what));
    }

    /// Writes the file, or removes it.
    pub(super) fn put(&mut self, client: Client, content: Option<Content>, how: &'static str) {
        let now = self.now();
        let before = self.disk.content().cloned();
        self.check_write(client, before.as_ref(), content.as_ref());
        let pair = |content: &Option<Content>| content.as_ref()?.line(&self.ledger);
        let (old, new) = (pair(&before), pair(&content));
        if let Some(old) = old.filter(|old| Some(*old) != new) {
            self.ledger.pairs[old].displaced_by = Some(client);
        }
        if let Some(new) = new {
            self.ledger.pairs[new].stored.get_or_insert(now);
            self.ledger.pairs[new].displaced_by = None;
        }
        self.note(match content {
            Some(_) => Event::Wrote(client, how, new),
            None => Event::Deleted(client),
        });
        self.note_graft(content.as_ref());
        match how {
            "replaced" => self.disk.replace(content, now),
            _ => self.disk.overwrite(content, now),
        }
        self.changed = now;
        if client.is_foreign() {
            self.meddled = now;
        }
        self.look_alive();
    }

    /// A new login of `person`.
    pub(super) fn sign_in(&mut self, person: PersonId) -> PairId {
        let family = self.ledger.add_family(person);
        let times = (self.now(), self.life);
        let pair = mint(&mut self.ledger, family, None, times, true);
        self.tally.sign_ins += 1;
        self.note(Event::SignedIn(pair));
        pair
    }

    /// What the issuer does with a refresh token.
    pub(super) fn redeem(&mut self, request: Request, token: &str) -> Ruling {
        let Some(pair) = self.ledger.by_refresh(token) else { return Ruling::Invalidated };
        let now = self.now();
        if self.ledger.family(pair).revoked.is_some() {
            return Ruling::Invalidated;
        }
        let family = self.ledger.pairs[pair].family;
        let Some(spent) = self.ledger.pairs[pair].spent else {
            let times = (now, self.life);
            let next = mint(&mut self.ledger, family, Some(pair), times, self.manners.rotates);
            self.ledger.pairs[next].granted_to = Some(request.by);
            self.ledger.pairs[next].asked = request.at;
            if self.manners.rotates {
                self.ledger.pairs[pair].spent =
                    Some(Spent { at: now, by: request.by, successor: next });
            }
            self.look_alive();
            return Ruling::Granted(next);
        };
        if now < spent.at + self.manners.grace {
            self.ledger.pairs[spent.successor].granted_to = Some(request.by);
            return Ruling::Granted(spent.successor);
        }
        if self.manners.revokes_families {
            let cause = self.blame(request, spent);
            self.revoke(family, cause);
        }
        Ruling::Reused
    }

    /// Revokes the login that `token` is of.
    pub(super) fn revoke_login(&mut self, token: &str, cause: &'static str) {
        if let Some(pair) = self.ledger.by_refresh(token) {
            self.revoke(self.ledger.pairs[pair].family, cause);
        }
    }

    /// Revokes the login that the store holds.
    pub(super) fn revoke_stored(&mut self, cause: &'static str) {
        if let Some(pair) = self.disk.content().and_then(|content| content.pair(&self.ledger)) {
            self.revoke(self.ledger.pairs[pair].family, cause);
        }
    }

    fn revoke(&mut self, family: FamilyId, cause: &'static str) {
        if self.ledger.families[family].revoked.is_none() {
            self.note(Event::FamilyRevoked(family, cause));
            self.ledger.families[family].revoked = Some(cause);
            self.look_alive();
        }
    }

    /// A granted pair has reached `client`.
    pub(super) fn deliver(&mut self, client: Client, pair: PairId) {
        let now = self.now();
        self.note(Event::Delivered(client, pair));
        self.ledger.pairs[pair].holder = Some(client);
        if let Client::Sdk(process) = client {
            self.tally.redemptions += 1;
            self.rotations.push(now);
            if let Some(member) = self.members.get_mut(&process) {
                member.in_hand = Some(pair);
            }
        }
    }

    /// The API stops taking the access token that is in use.
    pub(super) fn kill_access(&mut self) {
        let Some(pair) = self.disk.content().and_then(|content| content.pair(&self.ledger)) else {
            return;
        };
        self.note(Event::AccessKilled(pair));
        self.ledger.pairs[pair].is_killed = true;
    }

    fn note_graft(&mut self, content: Option<&Content>) {
        let Some(content) = content else { return };
        let Some(access) = content.owners.and_then(|owners| owners.access) else { return };
        if content.pair(&self.ledger).is_none() {
            let record = content.parsed.as_ref().ok();
            let tokens = record.and_then(|record| record.tokens.as_ref());
            let account = tokens.and_then(|tokens| tokens.account_id.clone());
            self.grafts.insert((self.ledger.pairs[access].family, account));
        }
    }

    /// Whether the store holds a good login, and since when one of this person.
    fn look_alive(&mut self) {
        let pair = self.disk.content().and_then(|content| content.pair(&self.ledger));
        let found = pair.filter(|pair| self.ledger.is_live(*pair)).map(|pair| {
            let family = self.ledger.pairs[pair].family;
            let person = self.ledger.families[family].person;
            let before = self.alive.filter(|alive| {
                let is_known = PEOPLE[person].account.is_some();
                alive.person == person && (is_known || alive.family == family)
            });
            Alive { person, family, since: before.map_or(self.now(), |alive| alive.since) }
        });
        self.alive = found;
    }
}
