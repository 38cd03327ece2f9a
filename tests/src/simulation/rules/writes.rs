//! What the SDK writes, over what.

use crate::simulation::disk::Lock;
use crate::simulation::executor::ProcessId;
use crate::simulation::ledger::{Client, PEOPLE, PairId};
use crate::simulation::record::{Content, untouched, wall};
use crate::simulation::state::State;

impl State {
    /// What the SDK writes is the next pair of the very login that is there, and nothing else.
    pub(in crate::simulation) fn check_write(
        &mut self,
        client: Client,
        before: Option<&Content>,
        after: Option<&Content>,
    ) {
        let Client::Sdk(process) = client else { return };
        let Some(after) = after else { return self.check_delete(process, before) };
        let is_locked = self.disk.holds(Lock::Refresh, process);
        // What was there before, or should have been, may be put back by whoever has it.
        let is_back = after.owners.and_then(|owners| owners.refresh).is_some_and(|new| {
            let pair = &self.ledger.pairs[new];
            pair.stored.is_some() || pair.is_put_aside
        });
        self.check(is_locked || is_back, |_| format!("process {process} saves without the lock"));
        let owners = before.and_then(|before| before.owners);
        let (Some(before), Some(owners)) = (before, owners) else {
            return self
                .check(false, |_| format!("process {process} wrote a login where there was none"));
        };
        // Whatever account another program has given the login: that is kept.
        let (Some(new), Some(old)) = (after.line(&self.ledger), owners.refresh) else {
            return self.check(false, |_| {
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
        let access = after.owners.and_then(|owners| owners.access).unwrap_or(new);
        let issued = wall(self.ledger.pairs[access].issued);
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

    /// The refresh lock is given up with a pair that is not stored only where it has no place.
    pub(in crate::simulation) fn check_put_aside(&mut self, process: ProcessId, pair: PairId) {
        let stored = self.disk.content().and_then(|content| content.line(&self.ledger));
        let spent = stored.and_then(|stored| self.ledger.pairs[stored].spent);
        let has_place = spent.is_some_and(|spent| spent.successor == pair);
        self.check(!has_place, |_| format!("process {process} did not store pair {pair}"));
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
        let (stored, own) = (PEOPLE[owner], PEOPLE[wanted]);
        let is_known = stored.account.is_some() && own.account.is_some();
        // Another workspace of one user is no other login.
        let is_same = owner == wanted || (stored.user.is_some() && stored.user == own.user);
        self.check(!is_known || is_same, |_| {
            format!(
                "process {process} signed {:?} out in the place of {:?}",
                PEOPLE[owner], PEOPLE[wanted]
            )
        });
    }
}
