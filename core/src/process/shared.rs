//! Values that all that ask for them by one key share, as long as one of them is left.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

/// Values by their keys. It has no lock, which a forked child could inherit held.
#[derive(Debug)]
pub(crate) struct Shared<K, V>(ArcSwapOption<HashMap<K, Weak<V>>>);

impl<K: Clone + Eq + Hash, V> Shared<K, V> {
    /// Creates a map without values.
    pub(crate) const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    /// Returns the value of `key`; `new`, if there is none.
    pub(crate) fn get_or(&self, key: &K, new: V) -> Arc<V> {
        let new = Arc::new(new);
        let mut shared = Arc::clone(&new);
        self.0.rcu(|values| {
            let mut values = values.as_deref().cloned().unwrap_or_default();
            values.retain(|_, value| value.strong_count() > 0);
            shared = values.get(key).and_then(Weak::upgrade).unwrap_or_else(|| Arc::clone(&new));
            values.insert(key.clone(), Arc::downgrade(&shared));
            Some(Arc::new(values))
        });
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_as_long_as_it_is_used() {
        let shared = Shared::new();
        let first = shared.get_or(&"a", 1);
        assert_eq!((*shared.get_or(&"a", 2), *shared.get_or(&"b", 3)), (1, 3));
        drop(first);
        assert_eq!(*shared.get_or(&"a", 4), 4);
    }
}
