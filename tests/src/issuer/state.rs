//! What the issuer knows: families of tokens, and the one rule that matters, single use.

use std::collections::{BTreeMap, HashMap};

use chrono::Utc;

use super::config::{AccessTokenKind, Config, OldAccessTokens, Policy};
use super::faults::Fault;
use super::gate::Gate;
use super::labels::{Label, TokenKind, TokenName};
use super::minting::{self, Account, IdTokenKind, Lifetime};
use super::sign_in::SignIns;
use super::stats::Counters;

pub(super) const EXPIRED: &str = "refresh_token_expired";
pub(super) const REUSED: &str = "refresh_token_reused";
pub(super) const INVALIDATED: &str = "refresh_token_invalidated";

/// Everything in one realm that a reset forgets.
pub(super) struct State {
    pub(super) config: Config,
    pub(super) counters: Counters,
    pub(super) faults: Vec<Fault>,
    pub(super) gate: Gate,
    pub(super) sign_ins: SignIns,
    families: BTreeMap<String, Family>,
    names: HashMap<String, TokenName>,
    issuer_url: String,
}

/// One login and all that came of it.
pub(super) struct Family {
    pub(super) account: Account,
    pub(super) revoked: bool,
    pairs: Vec<Pair>,
}

impl Family {
    pub(super) fn newest(&self) -> Option<&Pair> {
        self.pairs.last()
    }
}

/// What one grant handed out.
pub(super) struct Pair {
    pub(super) access: AccessToken,
    pub(super) id_text: String,
    pub(super) refresh: RefreshToken,
    pub(super) minted_ms: i64,
}

pub(super) struct AccessToken {
    pub(super) text: String,
    pub(super) ends_ms: i64,
    pub(super) revoked: bool,
}

/// A server that does not rotate hands out one text many times; only the first pair's state counts.
pub(super) struct RefreshToken {
    pub(super) text: String,
    pub(super) spent: Option<Spent>,
    pub(super) refusal: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub(super) struct Spent {
    at_ms: i64,
    successor: usize,
}

/// How a login's first pair differs from what the configuration says.
pub(super) struct FirstPair {
    pub(super) lifetime: Lifetime,
    pub(super) access_token: AccessTokenKind,
    pub(super) id_token: IdTokenKind,
}

/// The answer to a refresh token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Redemption {
    Granted(Label),
    /// Spent before, within the grace window: the same successor once more.
    GrantedAgain(Label),
    Refused(&'static str),
}

impl State {
    pub(super) fn new(config: Config, issuer_url: &str) -> Self {
        Self {
            config,
            counters: Counters::default(),
            faults: Vec::new(),
            gate: Gate::default(),
            sign_ins: SignIns::default(),
            families: BTreeMap::new(),
            names: HashMap::new(),
            issuer_url: issuer_url.to_owned(),
        }
    }

    /// Starts a family. The caller has made sure that the name is free.
    pub(super) fn log_in(&mut self, name: &str, account: Account, first: &FirstPair) -> Label {
        let family = Family { account, revoked: false, pairs: Vec::new() };
        self.families.insert(name.to_owned(), family);
        self.add_pair(name, first, None)
    }

    /// A login with nothing special about it.
    pub(super) fn log_in_now(&mut self, name: &str, account: Account) -> Label {
        let first = self.pair_by_configuration();
        self.log_in(name, account, &first)
    }

    /// Redeems a refresh token: judges it, and spends it when it is good.
    pub(super) fn redeem(&mut self, text: &str) -> Redemption {
        let judged = self.judge(text);
        if let (Redemption::Granted(successor), Some(name)) = (&judged, self.name_of(text)) {
            self.grant(&name.label, successor);
        }
        if judged == Redemption::Refused(REUSED) && self.config.policy == Policy::RevokeFamily {
            self.revoke_family_of(text);
        }
        judged
    }

    /// What `redeem` would say now, with the label that a grant would get.
    pub(super) fn judge(&self, text: &str) -> Redemption {
        let Some((name, family)) = self.refresh_token(text) else {
            return Redemption::Refused(INVALIDATED);
        };
        let label = &name.label;
        let token = &family.pairs[label.generation].refresh;
        let refusal = token.refusal.or(family.revoked.then_some(INVALIDATED));
        match (refusal, token.spent) {
            (Some(code), _) => Redemption::Refused(code),
            (None, None) => Redemption::Granted(Label::new(&label.family, family.pairs.len())),
            (None, Some(spent))
                if now_ms() < spent.at_ms.saturating_add_unsigned(self.config.grace_ms) =>
            {
                Redemption::GrantedAgain(Label::new(&label.family, spent.successor))
            }
            (None, Some(_)) => Redemption::Refused(REUSED),
        }
    }

    /// The pair that was granted for this refresh token, if it is spent.
    pub(super) fn successor(&self, text: &str) -> Option<Label> {
        let (name, family) = self.refresh_token(text)?;
        let spent = family.pairs[name.label.generation].refresh.spent?;
        Some(Label::new(&name.label.family, spent.successor))
    }

    pub(super) fn revoke_family_of(&mut self, text: &str) {
        if let Some(name) = self.names.get(text)
            && let Some(family) = self.families.get_mut(&name.label.family)
        {
            family.revoked = true;
        }
    }

    pub(super) fn families(&self) -> impl Iterator<Item = &Family> {
        self.families.values()
    }

    pub(super) fn family(&self, name: &str) -> Option<&Family> {
        self.families.get(name)
    }

    pub(super) fn pair(&self, label: &Label) -> Option<&Pair> {
        self.families.get(&label.family)?.pairs.get(label.generation)
    }

    pub(super) fn pair_mut(&mut self, label: &Label) -> Option<&mut Pair> {
        self.families.get_mut(&label.family)?.pairs.get_mut(label.generation)
    }

    pub(super) fn all_pairs_mut(&mut self) -> impl Iterator<Item = &mut Pair> {
        self.families.values_mut().flat_map(|family| family.pairs.iter_mut())
    }

    pub(super) fn name_of(&self, text: &str) -> Option<TokenName> {
        self.names.get(text).cloned()
    }

    pub(super) fn all_tokens(&self) -> impl Iterator<Item = (&String, &TokenName)> {
        self.names.iter()
    }

    pub(super) fn text_of(&self, name: &TokenName) -> Option<&str> {
        let pair = self.pair(&name.label)?;
        let text = match name.kind {
            TokenKind::Access => &pair.access.text,
            TokenKind::Refresh => &pair.refresh.text,
            TokenKind::Id => &pair.id_text,
        };
        Some(text)
    }

    /// Whether the protected API takes this access token now; if not, why.
    pub(super) fn check_access(&self, text: &str) -> Result<(Label, &Account), &'static str> {
        let name = self.name_of(text).ok_or("token_unknown")?;
        let family = self.family(&name.label.family).ok_or("token_unknown")?;
        let pair = self.pair(&name.label).ok_or("token_unknown")?;
        let complaints = [
            (name.kind != TokenKind::Access, "token_unknown"),
            (self.config.api_reject_all, "token_rejected"),
            (family.revoked || pair.access.revoked, "token_revoked"),
            (pair.access.ends_ms <= now_ms(), "token_expired"),
        ];
        match complaints.iter().find(|(holds, _)| *holds) {
            Some((_, complaint)) => Err(complaint),
            None => Ok((name.label, &family.account)),
        }
    }

    fn refresh_token(&self, text: &str) -> Option<(&TokenName, &Family)> {
        let name = self.names.get(text)?;
        let family = self.families.get(&name.label.family)?;
        (name.kind == TokenKind::Refresh).then_some((name, family))
    }

    fn grant(&mut self, from: &Label, successor: &Label) {
        let kept = if self.config.rotate {
            None
        } else {
            self.pair(from).map(|pair| pair.refresh.text.clone())
        };
        if self.config.old_access_tokens == OldAccessTokens::Revoked
            && let Some(family) = self.families.get_mut(&from.family)
        {
            for pair in &mut family.pairs {
                pair.access.revoked = true;
            }
        }
        let rotated = kept.is_none();
        let pair = self.pair_by_configuration();
        self.add_pair(&from.family, &pair, kept);
        if rotated && let Some(old) = self.pair_mut(from) {
            old.refresh.spent = Some(Spent { at_ms: now_ms(), successor: successor.generation });
        }
    }

    fn add_pair(&mut self, family: &str, first: &FirstPair, kept: Option<String>) -> Label {
        let config = &self.config;
        let family_state =
            self.families.get_mut(family).expect("pairs are added to families that exist");
        let account = &family_state.account;
        let label = Label::new(family, family_state.pairs.len());
        let access = minting::access_token(account, first.access_token, first.lifetime, config);
        let id_text = minting::id_token(account, first.id_token, &self.issuer_url);
        let rotated = kept.is_none();
        let refresh_text = kept.unwrap_or_else(minting::refresh_token);
        let named = [
            (access.clone(), TokenKind::Access),
            (id_text.clone(), TokenKind::Id),
            (refresh_text.clone(), TokenKind::Refresh),
        ];
        // A refresh token that was kept keeps its first name too.
        for (text, kind) in named.into_iter().take(if rotated { 3 } else { 2 }) {
            let label = label.clone();
            self.names.insert(text, TokenName { kind, label });
        }
        family_state.pairs.push(Pair {
            access: AccessToken { text: access, ends_ms: first.lifetime.ends_ms(), revoked: false },
            id_text,
            refresh: RefreshToken { text: refresh_text, spent: None, refusal: None },
            minted_ms: first.lifetime.minted_ms,
        });
        label
    }

    fn pair_by_configuration(&self) -> FirstPair {
        FirstPair {
            lifetime: Lifetime { minted_ms: now_ms(), ttl_ms: self.config.access_ttl_ms },
            access_token: self.config.access_token,
            id_token: self.config.reply_id_token,
        }
    }
}

pub(super) fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}
