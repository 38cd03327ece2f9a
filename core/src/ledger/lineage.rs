//! The lineage of refresh tokens: which token replaced which, for each login.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::bounds::keep_last;
use crate::secret::Fingerprint;

/// The most rotations that are kept for one login.
const MOST_OF_A_LOGIN: usize = 32;

/// The most rotations that are kept for all logins.
const MOST_ROTATIONS: usize = 256;

/// The rotations of the logins that were refreshed last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Lineage(Vec<Login>);

/// The last rotations of one login, in the order in which they were noted. A server with a grace
/// window may have granted one token several successors. What another program redeems is not noted:
/// the rotation after it begins a login of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Login(Vec<Rotation>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rotation {
    old: Fingerprint,
    new: Fingerprint,
    is_settled: bool,
}

/// The fate of a redeemed token.
pub(super) enum Fate {
    /// Its last successor was stored.
    Settled(Fingerprint),
    /// Its last successor may be lost.
    Unsettled(Fingerprint),
}

impl Lineage {
    pub(super) fn add(&mut self, old: Fingerprint, new: Fingerprint) {
        // What is redeemed was stored before.
        self.settle(old);
        let known = self.0.iter().position(|login| login.has(old));
        let mut login = known.map(|at| self.0.remove(at)).unwrap_or_default();
        login.0.retain(|known| (known.old, known.new) != (old, new));
        login.0.push(Rotation { old, new, is_settled: false });
        self.0.push(login);
        self.trim();
    }

    /// Notes that `new` is stored.
    pub(super) fn settle(&mut self, new: Fingerprint) {
        for rotation in self.0.iter_mut().flat_map(|login| &mut login.0) {
            rotation.is_settled |= rotation.new == new;
        }
    }

    pub(super) fn is_settled(&self, new: Fingerprint) -> bool {
        self.rotations().any(|rotation| rotation.new == new && rotation.is_settled)
    }

    /// Returns the fate of `token`; none if it was never redeemed, or if the server has issued it
    /// again since.
    pub(super) fn fate(&self, token: Fingerprint) -> Option<Fate> {
        let last = self.rotations().rfind(|rotation| rotation.names(token))?;
        (last.old == token).then_some(match last.is_settled {
            true => Fate::Settled(last.new),
            false => Fate::Unsettled(last.new),
        })
    }

    /// Returns whether `token` descends from `ancestor`, by any of its successors, or equals it.
    pub(super) fn descends(&self, token: Fingerprint, ancestor: Fingerprint) -> bool {
        let mut reached = vec![ancestor];
        let mut next = 0;
        while let Some(old) = reached.get(next).copied() {
            if old == token {
                return true;
            }
            for rotation in self.rotations().filter(|rotation| rotation.old == old) {
                if !reached.contains(&rotation.new) {
                    reached.push(rotation.new);
                }
            }
            next += 1;
        }
        false
    }

    /// Takes over the logins of `other` of whose tokens none is known here.
    #[cfg(feature = "cli")]
    pub(super) fn learn(&mut self, other: &Self) {
        let is_known = |rotation: &Rotation| {
            self.rotations().any(|known| known.names(rotation.old) || known.names(rotation.new))
        };
        let unknown = other.0.iter().filter(|login| !login.0.iter().any(is_known));
        let unknown: Vec<_> = unknown.cloned().collect();
        self.0.extend(unknown);
        self.trim();
    }

    pub(super) fn within_bounds(mut self) -> Self {
        self.trim();
        self
    }

    /// Forgets the oldest rotations of a long login, and those of the logins that were refreshed
    /// longest ago.
    fn trim(&mut self) {
        for login in &mut self.0 {
            keep_last(&mut login.0, MOST_OF_A_LOGIN);
        }
        let mut excess = self.rotations().count().saturating_sub(MOST_ROTATIONS);
        for login in &mut self.0 {
            let forgotten = excess.min(login.0.len());
            login.0.drain(..forgotten);
            excess -= forgotten;
        }
        self.0.retain(|login| !login.0.is_empty());
    }

    #[cfg(feature = "test-util")]
    pub(super) fn tokens(&self) -> impl Iterator<Item = Fingerprint> {
        self.rotations().flat_map(|rotation| [rotation.old, rotation.new])
    }

    fn rotations(&self) -> impl DoubleEndedIterator<Item = &Rotation> {
        self.0.iter().flat_map(|login| &login.0)
    }
}

impl Login {
    fn has(&self, token: Fingerprint) -> bool {
        self.0.iter().any(|rotation| rotation.names(token))
    }
}

impl Rotation {
    fn names(&self, token: Fingerprint) -> bool {
        [self.old, self.new].contains(&token)
    }
}

/// Writes both fingerprints and one byte for `is_settled`, as Base64: 256 rotations must fit into
/// 16 KiB.
impl Serialize for Rotation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = [&self.old.to_bytes()[..], &self.new.to_bytes(), &[self.is_settled.into()]];
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes.concat()))
    }
}

impl<'de> Deserialize<'de> for Rotation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let rotation = bytes.split_first_chunk().and_then(|(old, rest)| {
            let (new, rest) = rest.split_first_chunk()?;
            let is_settled = rest == [1];
            let fingerprints = [old, new].map(|bytes| Fingerprint::from_bytes(*bytes));
            (rest.len() == 1).then_some((fingerprints, is_settled))
        });
        let ([old, new], is_settled) =
            rotation.ok_or_else(|| de::Error::custom("not a rotation"))?;
        Ok(Self { old, new, is_settled })
    }
}
