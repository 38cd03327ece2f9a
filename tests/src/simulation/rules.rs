//! The guarantees, as checks of single changes: each looks at what changes and at the records about
//! it, so that a check costs the same whatever the number of managers.

mod answers;
mod redemptions;
mod writes;

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use codex_auth_sdk::{AuthMode, CodexAuth};

use super::executor::ProcessId;
use super::journal::Event;
use super::ledger::{PEOPLE, PairId, PersonId};
use super::record::wall;
use super::state::{Manner, State};

/// How long what a caller is told may lag behind the store.
const LAG: Duration = Duration::from_secs(1);

/// How long a process is not judged that was stopped: what it says it may have known before that.
const DAZE: Duration = Duration::from_secs(5);

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
        let is_graft = self.grafts.contains(&(self.ledger.pairs[pair].family, account.clone()));
        self.check(is_right || is_graft, |_| {
            format!("process {process} sent pair {pair} of {owner:?} as {account:?}")
        });
        let is_accepted = self.ledger.is_accepted(pair, self.now());
        self.ledger.pairs[pair].is_rejected |= !is_accepted;
        let status = if is_accepted { 200 } else { 401 };
        self.note(Event::Sent(process, Some(pair), status));
        status
    }

    fn was_stopped(&self, process: ProcessId, since: Duration) -> bool {
        let member = self.members.get(&process);
        member
            .is_some_and(|member| member.is_stopped || member.resumed.is_some_and(|at| at > since))
    }

    /// What time it is at the issuer, in whole seconds.
    pub(in crate::simulation) fn issuer_time(&self) -> DateTime<Utc> {
        (wall(self.now()) - TimeDelta::seconds(self.ledger.ahead)).trunc_subsecs(0)
    }

    /// A reply of the issuer has reached `process`.
    pub(in crate::simulation) fn heard(&mut self, process: ProcessId, life: u32) {
        if let Some(member) = self.members.get_mut(&process) {
            member.has_heard = Some(life);
        }
    }

    /// Whether the manager of `process` knows what time it is, by its clock or by a reply.
    fn knows_time(&self, process: ProcessId) -> bool {
        self.ledger.ahead == 0 || self.has_heard(process)
    }

    /// Whether a reply has told the manager of `process` what time it is.
    fn has_heard(&self, process: ProcessId) -> bool {
        let member = self.members.get(&process);
        member.is_some_and(|member| member.has_heard == Some(member.life))
    }

    fn life_of(&self, process: ProcessId) -> Option<u32> {
        self.members.get(&process).map(|member| member.life)
    }

    fn manner(&self, process: ProcessId) -> Manner {
        self.members.get(&process).map(|member| member.manner).unwrap_or_default()
    }

    fn is_dazed(&self, process: ProcessId) -> bool {
        let resumed = self.members.get(&process).and_then(|member| member.resumed);
        resumed.is_some_and(|at| at + DAZE > self.now())
    }
}
