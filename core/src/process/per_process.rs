//! What belongs to one process: locks, tasks, sockets. A forked child inherits the memory but not
//! the threads, so it makes its own and leaves its parent's alone.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::id::ProcessId;

/// A value that a forked child never sees: it has one of its own, made at its first use.
#[derive(Debug)]
pub struct PerProcess<T>(ArcSwapOption<Owned<T>>);

#[derive(Debug)]
struct Owned<T> {
    process: ProcessId,
    value: Arc<T>,
}

impl<T> PerProcess<T> {
    /// No value yet.
    pub const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    /// This process's value, if it has one.
    pub fn get(&self) -> Option<Arc<T>> {
        self.0.load().as_deref().and_then(Owned::own)
    }

    /// This process's value, which is made now if there is none. Of two threads that make one at a
    /// time the faster one's is kept.
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
        // The parent's is not ours to end: its threads and sockets are gone, or the parent's.
        std::mem::forget(current);
        Ok(faster.unwrap_or(value))
    }

    /// Drops this process's value; the next use makes another.
    pub fn clear(&self) {
        if self.get().is_some() {
            self.0.store(None);
        }
    }
}

impl<T: Default> PerProcess<T> {
    /// This process's value, which is the default if there is none yet.
    pub(crate) fn get_or_default(&self) -> Arc<T> {
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

/// A value that only the process that made it uses and lets go of. A forked child forgets its copy:
/// a lock in it may have been taken by a thread that the child does not have.
#[derive(Debug)]
pub(crate) struct NotInherited<T> {
    /// There until this is dropped.
    value: Option<T>,
    process: ProcessId,
}

impl<T> NotInherited<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), process: ProcessId::current() }
    }

    /// What a forked child has of a `value` of its parent's.
    #[cfg(test)]
    pub(crate) fn inherited(value: T) -> Self {
        Self { value: Some(value), process: ProcessId::other() }
    }

    /// The value; none in a forked child.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.process.is_current())
    }

    /// The value; none in a forked child.
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
