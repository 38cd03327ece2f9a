//! What a write needs and is slow to make, kept from the proof of readiness for the commit.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::derivation::{Derivations, Turn};
use super::envelope::Seal;
use crate::error::Result;
use crate::secret::Secret;
use crate::storage::replacement::Replacement;

#[derive(Debug)]
pub(super) struct Material {
    pub(super) passphrase: Secret,
    pub(super) seal: Seal,
    /// The temp file that proved readiness.
    pub(super) temp: Option<Replacement>,
}

impl Material {
    pub(super) async fn derive(
        passphrase: Secret,
        work_factor: u8,
        derivations: &Derivations,
    ) -> Result<Self> {
        let key = passphrase.clone();
        let turn = Turn::wait().await;
        let (seal, _turn) = derivations.run(turn, move || Seal::new(&key, work_factor)).await?;
        Ok(Self { passphrase, seal, temp: None })
    }
}

/// The material for the next commit, if there is any.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared(Arc<ArcSwapOption<Material>>);

impl Prepared {
    /// Keeps `material` until a write takes it, or the returned value is dropped.
    pub(super) fn keep(&self, material: Material) -> Discard {
        self.0.store(Some(Arc::new(material)));
        Discard(self.clone())
    }

    /// Returns the material, if this process made it: a forked child must not write by the key of
    /// its parent.
    pub(super) fn take(&self) -> Option<Material> {
        let material = self.0.swap(None).and_then(Arc::into_inner);
        material.filter(|material| material.temp.as_ref().is_some_and(Replacement::is_own))
    }
}

/// Drops the material with this value, unless a write has taken it.
pub(super) struct Discard(Prepared);

impl Drop for Discard {
    fn drop(&mut self) {
        drop(self.0.0.swap(None));
    }
}
