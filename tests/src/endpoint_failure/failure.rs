//! The ways in which a request to the token endpoint can fail.

use codex_auth_sdk::token_endpoint::Redemption;
use serde_json::{Value, json};

use super::sockets::Socket;
use crate::chance::Chance;

/// What happens to one request.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// It does not come to the issuer.
    Unreached(Socket),
    /// The issuer has this fault.
    Fault(Value),
    /// It comes to the issuer after its sender has given up; the token is spent then.
    Late,
    /// The token is spent and nothing ever answered.
    Unanswered,
}

impl Failure {
    /// One of `kinds`; few refusals, which are the end of a sequence.
    pub(super) fn random(kinds: &[Self], chance: &Chance) -> Self {
        loop {
            let kind = chance.pick(kinds);
            if !kind.is_refusal() || chance.below(4) == 0 {
                return kind;
            }
        }
    }

    /// Whether a server says by it that the token is no good, rightly or not.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault["status"] == 401 || !fault["code"].is_null())
    }

    /// Whether `answer` is what it comes to: a refusal, or whether the token may be spent.
    pub(super) fn is_answered_by(&self, answer: &Redemption) -> bool {
        let is_unspent = matches!(answer, Redemption::NotSpent(_));
        let is_in_doubt = matches!(answer, Redemption::InDoubt(_));
        match self {
            Self::Unreached(Socket::Refused | Socket::Unresolved | Socket::Unencrypted) => {
                is_unspent
            }
            // Who waits for a connection in vain does not know that there was none.
            Self::Unreached(Socket::Unaccepted) => is_unspent || is_in_doubt,
            Self::Unreached(Socket::Silent | Socket::Foreign) | Self::Late | Self::Unanswered => {
                is_in_doubt
            }
            Self::Fault(_) if self.is_refusal() => matches!(answer, Redemption::Refused(_)),
            Self::Fault(fault) => match fault["status"].as_u64() {
                Some(408 | 429 | 503) => is_unspent,
                Some(300..500) => matches!(answer, Redemption::Declined(_)),
                _ => is_in_doubt,
            },
        }
    }

    /// Whether nothing but time ends it.
    pub(super) fn takes_all_the_time(&self) -> bool {
        match self {
            Self::Unreached(socket) => matches!(socket, Socket::Silent | Socket::Unaccepted),
            Self::Fault(fault) => fault["kind"] == "slow",
            Self::Late | Self::Unanswered => true,
        }
    }
}

/// Every one of them.
pub(super) fn every_kind() -> Vec<Failure> {
    let unreached = Socket::ALL.map(Failure::Unreached);
    let faults = lost_replies().into_iter().chain(clear_answers()).chain(refusals());
    let mut kinds: Vec<_> = unreached.into_iter().chain(faults.map(Failure::Fault)).collect();
    kinds.extend([Failure::Late, Failure::Unanswered]);
    kinds
}

/// Nothing usable comes back, whether the token was spent before or not.
fn lost_replies() -> Vec<Value> {
    let kinds = [
        json!({"kind": "drop"}),
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 500, "retry_after": {"seconds": 3}}),
        json!({"kind": "status", "status": 502, "body": "<html>bad gateway</html>"}),
        json!({"kind": "status", "status": 504}),
        json!({"kind": "truncated"}),
        json!({"kind": "not_json"}),
        json!({"kind": "empty"}),
        json!({"kind": "wrong_type"}),
        json!({"kind": "huge", "bytes": 1_000_000}),
        json!({"kind": "slow", "every_ms": 1_000}),
    ];
    let spend = |mut fault: Value, spend: bool| {
        fault["spend"] = json!(spend);
        fault
    };
    kinds.into_iter().flat_map(|kind| [spend(kind.clone(), false), spend(kind, true)]).collect()
}

/// The server says that it did not look at the token.
fn clear_answers() -> Vec<Value> {
    let status = |status: u16| json!({"kind": "status", "status": status});
    let after = |code: u16, after: Value| {
        let mut fault = status(code);
        fault["retry_after"] = after;
        fault
    };
    // The issuer by another name: what comes there with a token is counted as stolen.
    let redirect = |status: u16| json!({"kind": "redirect", "status": status, "to": "{elsewhere}"});
    vec![
        status(400),
        status(403),
        status(404),
        status(408),
        status(429),
        status(503),
        after(429, json!({"seconds": 7})),
        after(429, json!({"seconds": 3600})),
        after(429, json!({"date_in": 20})),
        after(429, json!({"date_in": -20})),
        after(429, json!({"text": "soon"})),
        after(503, json!({"seconds": 0})),
        after(503, json!({"seconds": 2})),
        redirect(302),
        redirect(307),
        redirect(308),
    ]
}

fn refusals() -> Vec<Value> {
    let refusal = |status: u16, code: &str, shape: &str| json!({"kind": "status", "status": status, "code": code, "shape": shape});
    vec![
        refusal(401, "refresh_token_expired", "object"),
        refusal(401, "refresh_token_reused", "oauth"),
        refusal(403, "refresh_token_invalidated", "top_level"),
        refusal(400, "invalid_grant", "oauth"),
        refusal(401, "something_new", "object"),
        json!({"kind": "status", "status": 401, "body": "<html>sign in</html>"}),
    ]
}
