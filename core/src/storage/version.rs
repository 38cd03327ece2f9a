//! How a manager tells one state of a store from another: by its version, which a write compares, and
//! by its stamp, which is cheap.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An opaque version of what a store holds. Equal versions mean equal contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    name: Option<Arc<str>>,
    is_partial: bool,
}

impl Version {
    /// The version of an empty store.
    pub const fn absent() -> Self {
        Self { name: None, is_partial: false }
    }

    /// The version of a store of two places; none where what is in the first cannot be read.
    pub(super) fn pair(left: Option<&Self>, right: &Self) -> Self {
        let name = |version: &Self| version.name.clone().unwrap_or_default();
        if left.is_some_and(|left| left.name.is_none()) && right.name.is_none() {
            return Self::absent();
        }
        let is_partial = left.is_none();
        let left = left.map_or_else(|| "?".into(), name);
        Self { is_partial, ..Self::named(&format!("{left}/{}", name(right))) }
    }

    /// Whether a place that may hold a newer record could not be read.
    pub(crate) const fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The name of this version; none for that of an empty store.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A version named `name`, such as a content hash or a generation; never a secret.
    pub fn named(name: &str) -> Self {
        Self { name: Some(name.into()), is_partial: false }
    }
}

/// A cheap mark of a store's state, compared for equality only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// The mark of whatever tells one state from another, such as a file's time and size.
    pub fn of(state: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        Self(hasher.finish())
    }
}
