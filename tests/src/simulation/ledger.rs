//! The issuer's own records: which token belongs to which login, who redeemed it, and whether what
//! was granted for it ever arrived and was ever stored. Losses are decided by these.

use std::collections::HashMap;
use std::time::Duration;

use super::executor::ProcessId;

pub(super) type PairId = usize;
pub(super) type FamilyId = usize;

/// A manager: its process, and which of the process's managers it is.
pub(super) type Life = (ProcessId, u32);

/// Who does something: a process that uses the SDK, or a foreign program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Client {
    Sdk(ProcessId),
    Foreign(ProcessId),
}

impl Client {
    pub(super) const fn is_foreign(self) -> bool {
        matches!(self, Self::Foreign(_))
    }
}

/// Whose a login is. What is none, no token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Person {
    /// `tokens.account_id` of the record.
    pub(super) account: Option<&'static str>,
    /// The claims of the id token.
    pub(super) claimed_account: Option<&'static str>,
    pub(super) user: Option<&'static str>,
}

const fn person(account: &'static str, user: &'static str) -> Person {
    Person { account: Some(account), claimed_account: Some(account), user: Some(user) }
}

/// Two workspaces of one user, two users of one workspace, a stranger, somebody whose id token
/// says nothing, and somebody of whom nothing is known.
pub(super) const PEOPLE: [Person; 6] = [
    person("acct-a", "user-1"),
    person("acct-b", "user-1"),
    person("acct-a", "user-2"),
    person("acct-c", "user-3"),
    Person { account: Some("acct-d"), claimed_account: None, user: None },
    Person { account: None, claimed_account: None, user: None },
];

/// An index of [`PEOPLE`].
pub(super) type PersonId = usize;

/// One access token with the refresh token and the id token that were issued with it.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) family: FamilyId,
    pub(super) generation: u32,
    pub(super) refresh: String,
    pub(super) access: String,
    pub(super) id: String,
    /// When the client asked for it; when it was issued where no token was redeemed for it.
    pub(super) asked: Duration,
    pub(super) issued: Duration,
    pub(super) expires: Duration,
    /// The API refuses the access token before it expires.
    pub(super) is_killed: bool,
    /// The API has refused it.
    pub(super) is_rejected: bool,
    /// Who asked for it last; none for a login.
    pub(super) granted_to: Option<Client>,
    /// Whom it reached last.
    pub(super) holder: Option<Client>,
    /// In which life of its holder, if that uses the SDK, and when.
    pub(super) delivered: (u32, Duration),
    /// The process that was granted it died with the lock in hand.
    pub(super) is_orphan: bool,
    /// Its holder gave the refresh lock up without having stored it: another login was there.
    pub(super) is_put_aside: bool,
    /// When it was in the store first.
    pub(super) stored: Option<Duration>,
    /// Who put something else into the store in its place.
    pub(super) displaced_by: Option<Client>,
    pub(super) spent: Option<Spent>,
    /// Clear refusals of the refresh token.
    pub(super) refusals: Vec<Refusal>,
}

/// Who presented a token, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) by: Client,
    pub(super) at: Duration,
}

/// A refusal that a manager heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) heard_by: Life,
    pub(super) asked_at: Duration,
    pub(super) heard_at: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) at: Duration,
    pub(super) by: Client,
    pub(super) successor: PairId,
}

#[derive(Debug)]
pub(super) struct Family {
    pub(super) person: PersonId,
    /// Why all its refresh tokens are refused.
    pub(super) revoked: Option<&'static str>,
    /// The pair that was issued last.
    pub(super) latest: PairId,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By how many seconds the machine's wall clock is ahead of the issuer's.
    pub(super) ahead: i64,
    pub(super) pairs: Vec<Pair>,
    pub(super) families: Vec<Family>,
    by_refresh: HashMap<String, PairId>,
    by_access: HashMap<String, PairId>,
    by_id: HashMap<String, PairId>,
}

impl Ledger {
    pub(super) fn new(ahead: i64) -> Self {
        Self { ahead, ..Self::default() }
    }

    pub(super) fn by_refresh(&self, token: &str) -> Option<PairId> {
        self.by_refresh.get(token).copied()
    }

    pub(super) fn by_access(&self, token: &str) -> Option<PairId> {
        self.by_access.get(token).copied()
    }

    pub(super) fn by_id(&self, token: &str) -> Option<PairId> {
        self.by_id.get(token).copied()
    }

    pub(super) fn family(&self, pair: PairId) -> &Family {
        &self.families[self.pairs[pair].family]
    }

    pub(super) fn person(&self, pair: PairId) -> PersonId {
        self.family(pair).person
    }

    pub(super) fn add_family(&mut self, person: PersonId) -> FamilyId {
        self.families.push(Family { person, revoked: None, latest: usize::MAX });
        self.families.len() - 1
    }

    /// Notes a pair as the latest of its family. A refresh token that is not rotated belongs to the
    /// latest pair that has it.
    pub(super) fn add_pair(&mut self, pair: Pair) -> PairId {
        let id = self.pairs.len();
        self.by_refresh.insert(pair.refresh.clone(), id);
        self.by_access.insert(pair.access.clone(), id);
        self.by_id.insert(pair.id.clone(), id);
        self.families[pair.family].latest = id;
        self.pairs.push(pair);
        id
    }

    /// Whether the refresh token of `pair` is good.
    pub(super) fn is_live(&self, pair: PairId) -> bool {
        self.pairs[pair].spent.is_none() && self.family(pair).revoked.is_none()
    }

    /// Whether the API takes the access token of `pair`.
    pub(super) fn is_accepted(&self, pair: PairId, now: Duration) -> bool {
        let known = &self.pairs[pair];
        !known.is_killed && now < known.expires && self.family(pair).revoked.is_none()
    }

    /// Whether nobody has a reason to replace the access token of `pair` yet: it is neither
    /// rejected nor due. Its life is reckoned from the moment at which it was asked for.
    pub(super) fn is_fresh(&self, pair: PairId, now: Duration) -> bool {
        let known = &self.pairs[pair];
        let life = known.expires - known.issued;
        let waited = known.issued.saturating_sub(known.asked);
        let window = Duration::from_secs(600).min(life / 2) + self.precision() + waited;
        !known.is_rejected && !known.is_killed && now < known.expires.saturating_sub(window)
    }

    /// How well a manager can know what time it is at the issuer: where clocks differ, slow replies
    /// tell how much to some seconds only.
    pub(super) fn precision(&self) -> Duration {
        Duration::from_secs(if self.ahead == 0 { 2 } else { 20 })
    }
}
