//! Whether a login is lost, and whether one of the exceptions explains it: by the issuer's records,
//! and by who wrote what.

use super::executor::ProcessId;
use super::ledger::{Client, PairId, Request, Spent};
use super::state::State;

/// Rotations of one login that the ledger remembers.
const MOST_LINEAGE: usize = 32;

/// What became of the login in the store.
pub(super) enum Fortune {
    /// It is good, or nobody is signed in, or who has the good pair saves it yet.
    Good,
    /// It is lost, in a way that the guarantees except.
    Excepted(&'static str),
    /// It is lost.
    Lost(String),
}

/// A revocation that nobody but the SDK is to blame for.
const OURS: &str = "a spent token was presented";

impl State {
    /// What became of the login in the store; in the end nobody saves anything any more.
    pub(super) fn fortune(&self, is_over: bool) -> Fortune {
        let Some(content) = self.disk.content() else { return Fortune::Good };
        if content.parsed.is_err() {
            return Fortune::Excepted("a foreign program left half a record");
        }
        let Some(owners) = content.owners else { return Fortune::Good };
        let Some(pair) = owners.line(&self.ledger) else {
            return Fortune::Excepted("a foreign program mixed two logins");
        };
        let family = self.ledger.family(pair);
        match family.revoked {
            Some(OURS) => Fortune::Lost(format!("pair {pair}: {OURS}, and its login revoked")),
            Some(cause) => Fortune::Excepted(cause),
            None if self.ledger.is_live(pair) => Fortune::Good,
            None => self.fortune_of_spent(pair, family.latest, is_over),
        }
    }

    /// The store holds `stored`, which is spent, and the issuer waits for `latest`.
    fn fortune_of_spent(&self, stored: PairId, latest: PairId, is_over: bool) -> Fortune {
        if let Some(why) = self.excuse(latest) {
            return Fortune::Excepted(why);
        }
        let pair = &self.ledger.pairs[latest];
        // Or had no place in the store, when that held half of another login.
        let is_displaced = pair.displaced_by.is_some_and(Client::is_foreign) || pair.is_put_aside;
        if is_displaced && !self.can_be_put_back(stored, latest) {
            return Fortune::Excepted("a foreign program put a spent token back");
        }
        if is_over {
            return Fortune::Lost(format!("the store holds pair {stored}, not {latest}: {pair:?}"));
        }
        Fortune::Good
    }

    /// Why `pair` is not in the store, where that is nothing that the SDK could help.
    fn excuse(&self, pair: PairId) -> Option<&'static str> {
        let pair = &self.ledger.pairs[pair];
        match pair.holder.or(pair.granted_to)? {
            _ if pair.stored.is_some() => None,
            Client::Foreign(_) => Some("a foreign program did not save"),
            _ if pair.holder.is_none() => Some("an answer was lost"),
            Client::Sdk(process) if self.executor.is_alive(process) => None,
            Client::Sdk(_) => Some("a crash before the save"),
        }
    }

    /// Why a token is presented that was `spent`, for which its login is revoked.
    pub(super) fn blame(&self, request: Request, spent: Spent) -> &'static str {
        let Client::Sdk(process) = request.by else {
            return "a foreign program presented a spent token";
        };
        let successor = spent.successor;
        let pair = &self.ledger.pairs[successor];
        let is_dead = |process: ProcessId| !self.executor.is_alive(process);
        if request.at <= spent.at {
            // It was good when it was sent.
            return match pair.granted_to {
                Some(Client::Foreign(_)) => "a foreign program redeemed at the same time",
                Some(Client::Sdk(other)) if is_dead(other) || is_dead(process) => {
                    "a crash during a redemption"
                }
                _ => OURS,
            };
        }
        if pair.stored.is_none_or(|at| request.at < at) {
            // Nobody could know of the redemption yet, unless who redeemed it has it in memory.
            match spent.by {
                Client::Foreign(_) => return "a foreign program did not save",
                Client::Sdk(other) if is_dead(other) => return "a crash before the save",
                Client::Sdk(_) => {}
            }
        }
        let is_put_back = pair.displaced_by.is_some_and(Client::is_foreign);
        let put_back = is_put_back.then_some("a foreign program put a spent token back");
        self.excuse(successor).or(put_back).unwrap_or(OURS)
    }

    /// Whether somebody has `latest` in memory, and all can know that `stored` led to it.
    fn can_be_put_back(&self, stored: PairId, latest: PairId) -> bool {
        let is_forgotten = self.forgotten.is_some_and(|at| at >= self.ledger.pairs[stored].issued);
        let mut pair = stored;
        for _ in 0..MOST_LINEAGE {
            if pair == latest {
                return !is_forgotten && self.is_remembered(latest);
            }
            let Some(spent) = self.ledger.pairs[pair].spent else { return false };
            pair = spent.successor;
            if self.ledger.pairs[pair].holder.is_none_or(Client::is_foreign) {
                return false;
            }
        }
        false
    }

    /// Whether a program that may redeem has `pair` in memory: as its snapshot, or granted to it.
    fn is_remembered(&self, pair: PairId) -> bool {
        self.running.iter().any(|process| {
            let member = &self.members[process];
            let known = &self.ledger.pairs[pair];
            let is_its =
                known.holder == Some(Client::Sdk(*process)) && known.delivered.0 == member.life;
            !member.manner.only_adopts && (is_its || member.has.is_some_and(|(has, _)| has == pair))
        })
    }
}
