//! Which process this is.

/// A process, for what a forked child must be able to tell from its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessId(u32);

#[expect(clippy::disallowed_methods, reason = "the one place that asks which process this is")]
impl ProcessId {
    /// The process that calls this.
    pub(crate) fn current() -> Self {
        Self(std::process::id())
    }

    /// Whether this is the process that calls this.
    pub(crate) fn is_current(self) -> bool {
        self.0 == std::process::id()
    }

    /// A process that is not the one that calls this, such as the parent of a forked child.
    #[cfg(test)]
    pub(crate) fn other() -> Self {
        Self(std::process::id() + 1)
    }
}
