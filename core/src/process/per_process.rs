//! Values that belong to one process, such as locks, tasks and sockets.
//!
//! A forked child inherits the memory of its parent but not the threads. So it makes its own
//! values, and neither uses nor drops those of its parent.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::id::ProcessId;

/// A value that a forked child does not see. The child makes its own at the first use.
#[derive(Debug)]
pub struct PerProcess<T>(ArcSwapOption<Owned<T>>);

#[derive(Debug)]
struct Owned<T> {
    process: ProcessId,
    value: Arc<T>,
}

impl<T> PerProcess<T> {
    /// Creates a cell without a value.
    pub const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    /// Returns the value of this process, if it has one.
    pub fn get(&self) -> Option<Arc<T>> {
        self.0.load().as_deref().and_then(Owned::own)
    }

    /// Returns the value of this process, which `make` makes if there is none. If two threads make
    /// one at the same time, the value of the faster one is kept.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub fn get_or_try_make<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let current = self.0.load_full();
        if let Some(value) = current.as_deref().and_then(Owned::own) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        let made = Owned { process: ProcessId::current(), value: Arc::clone(&value) };
        let found = self.0.compare_and_swap(&current, Some(Arc::new(made)));
        let faster = found.as_deref().and_then(Owned::own);
        // A value of the parent must not be dropped: its threads do not run here, and its sockets
        // are the parent's.
        std::mem::forget(current);
        Ok(faster.unwrap_or(value))
    }

    /// Drops the value of this process. The next use makes another one.
    pub fn clear(&self) {
        if self.get().is_some() {
            self.0.store(None);
        }
    }
}

impl<T: Default> PerProcess<T> {
    /// Returns the value of this process. If there is none yet, it is the default.
    pub fn get_or_default(&self) -> Arc<T> {
        let Ok(value) = self.get_or_try_make(|| Ok::<T, std::convert::Infallible>(T::default()));
        value
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Owned<T> {
    fn own(&self) -> Option<Arc<T>> {
        self.process.is_current().then(|| Arc::clone(&self.value))
    }
}

/// A value that only the process that made it uses and drops. A forked child forgets its copy,
/// since a thread that the child does not have may hold a lock in it.
#[derive(Debug)]
pub(crate) struct NotInherited<T> {
    /// None only while this is dropped.
    value: Option<T>,
    process: ProcessId,
}

impl<T> NotInherited<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), process: ProcessId::current() }
    }

    /// Returns `value` as a forked child inherits it from its parent.
    #[cfg(test)]
    pub(crate) fn inherited(value: T) -> Self {
        Self { value: Some(value), process: ProcessId::other() }
    }

    /// Returns the value; none in a forked child.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.process.is_current())
    }

    /// Returns the value; none in a forked child.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.value.as_mut().filter(|_| self.process.is_current())
    }
}

impl<T> Drop for NotInherited<T> {
    fn drop(&mut self) {
        if !self.process.is_current() {
            std::mem::forget(self.value.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_value_that_was_made_first() {
        let cell = PerProcess::new();
        assert!(cell.get().is_none());
        assert_eq!(cell.get_or_try_make(|| Err::<u8, _>("no")), Err("no"));
        let slow = cell.get_or_try_make(|| {
            // Another thread is faster.
            drop(cell.get_or_try_make(|| Ok::<_, ()>(1)));
            Ok::<_, ()>(2)
        });
        assert_eq!(slow, Ok(Arc::new(1)));
        assert_eq!(cell.get(), Some(Arc::new(1)));
    }

    #[test]
    fn a_value_of_another_process_is_neither_seen_nor_dropped() {
        let inherited = Arc::new(1);
        let owned = Owned { process: ProcessId::other(), value: Arc::clone(&inherited) };
        let cell = PerProcess(ArcSwapOption::from_pointee(owned));
        assert!(cell.get().is_none());
        assert_eq!(*cell.get_or_default(), 0);
        assert_eq!(Arc::strong_count(&inherited), 2);
    }

    #[test]
    fn an_inherited_value_is_neither_seen_nor_dropped() {
        let value = Arc::new(1);
        let inherited = NotInherited::inherited(Arc::clone(&value));
        assert!(inherited.get().is_none());
        drop(inherited);
        assert_eq!(Arc::strong_count(&value), 2);
        let own = NotInherited::new(Arc::clone(&value));
        assert_eq!(own.get(), Some(&value));
        drop(own);
        assert_eq!(Arc::strong_count(&value), 2);
    }
}
