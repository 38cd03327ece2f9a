//! What happened, counted by labels.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::state::State;

#[derive(Default)]
pub(super) struct Counters {
    /// Refresh requests that arrived, whatever became of them.
    pub(super) requests: u64,
    pub(super) encodings: BTreeMap<&'static str, u64>,
    pub(super) grants: u64,
    /// Grants that were delivered, by client.
    pub(super) redeemers: BTreeMap<String, u64>,
    pub(super) regrants: u64,
    pub(super) foreign_grants: u64,
    pub(super) refusals: BTreeMap<String, u64>,
    pub(super) faults: BTreeMap<String, u64>,
    pub(super) bad_requests: u64,
    pub(super) in_doubt_presentations: u64,
    pub(super) concurrent_presentations: u64,
    pub(super) replays: u64,
    pub(super) tokens: BTreeMap<String, Tally>,
    pub(super) api: BTreeMap<String, ApiTally>,
    pub(super) api_wrong_account: u64,
    pub(super) revocations: Vec<String>,
    /// Requests to the API, as they came.
    pub(super) seen: Vec<Value>,
    pub(super) stolen: u64,
    pub(super) sign_ins: u64,
    pub(super) marks: BTreeMap<String, u64>,
}

/// The life of one refresh token.
#[derive(Default, Serialize)]
pub(super) struct Tally {
    pub(super) presented: u64,
    /// Times a complete grant for it went out to a client that was still there.
    pub(super) delivered: u64,
    pub(super) refused: u64,
    /// Times its client was left without a clear answer.
    pub(super) unclear: u64,
    #[serde(skip)]
    in_progress: u64,
    #[serde(skip)]
    in_doubt: bool,
    /// The server did not rotate it: handing it out again is no second redemption.
    #[serde(skip)]
    kept: bool,
}

#[derive(Default, Serialize)]
pub(super) struct ApiTally {
    pub(super) ok: u64,
    pub(super) unauthorized: u64,
}

/// How a presentation of a refresh token ended.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ending {
    Delivered,
    /// Like `Delivered`, by a server that does not rotate.
    DeliveredUnrotated,
    Refused,
    /// Answered clearly, and the token is as good as before.
    Declined,
    Unclear,
}

impl Counters {
    pub(super) fn arrived(&mut self, token: &str, encoding: &'static str) {
        self.requests += 1;
        *self.encodings.entry(encoding).or_default() += 1;
        let tally = self.tokens.entry(token.to_owned()).or_default();
        self.in_doubt_presentations += u64::from(tally.in_doubt);
        self.concurrent_presentations += u64::from(tally.in_progress > 0);
        self.replays += u64::from(tally.delivered > 0 && !tally.kept);
        tally.presented += 1;
        tally.in_progress += 1;
    }

    pub(super) fn ended(&mut self, token: &str, ending: Ending) {
        let tally = self.tokens.entry(token.to_owned()).or_default();
        tally.in_progress = tally.in_progress.saturating_sub(1);
        tally.in_doubt = ending == Ending::Unclear;
        match ending {
            Ending::Delivered => tally.delivered += 1,
            Ending::DeliveredUnrotated => {
                tally.delivered += 1;
                tally.kept = true;
            }
            Ending::Refused => tally.refused += 1,
            Ending::Declined => {}
            Ending::Unclear => tally.unclear += 1,
        }
    }

    fn max_redemptions(&self) -> u64 {
        let rotated = self.tokens.values().filter(|tally| !tally.kept);
        rotated.map(|tally| tally.delivered).max().unwrap_or(0)
    }
}

/// The answer to `stats`, also what `wait` looks at.
pub(super) fn stats(state: &State) -> Value {
    let counters = &state.counters;
    let api = counters.api.values();
    json!({
        "requests": counters.requests,
        "encodings": counters.encodings,
        "held": state.gate.held(),
        "grants": counters.grants,
        "redeemers": counters.redeemers,
        "regrants": counters.regrants,
        "foreign_grants": counters.foreign_grants,
        "refused": counters.refusals.values().sum::<u64>(),
        "refusals": counters.refusals,
        "faulted": counters.faults.values().sum::<u64>(),
        "faults": counters.faults,
        "faults_left": state.faults.len(),
        "bad_requests": counters.bad_requests,
        "in_doubt_presentations": counters.in_doubt_presentations,
        "concurrent_presentations": counters.concurrent_presentations,
        "replays": counters.replays,
        "max_redemptions": counters.max_redemptions(),
        "tokens": counters.tokens,
        "api_ok": api.clone().map(|tally| tally.ok).sum::<u64>(),
        "api_unauthorized": api.map(|tally| tally.unauthorized).sum::<u64>(),
        "api": counters.api,
        "api_wrong_account": counters.api_wrong_account,
        "revocations": counters.revocations,
        "stolen": counters.stolen,
        "sign_ins": counters.sign_ins,
        "marks": counters.marks,
    })
}
