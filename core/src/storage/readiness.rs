//! The proof that a store can save.

use std::fmt;

/// A store is ready to commit; dropping this removes what was made to prove it.
#[derive(Default)]
pub struct Readiness(Option<Box<dyn Send + Sync>>);

impl Readiness {
    /// Readiness that lasts as long as `proof`, which is dropped with it.
    pub fn kept_by(proof: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(proof)))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("has_proof", &self.0.is_some()).finish()
    }
}
