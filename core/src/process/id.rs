//! The id of this process.

/// The process that owns a value. A forked child tells by it that the value is its parent's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessId(u32);

#[expect(clippy::disallowed_methods, reason = "the one place that asks which process this is")]
impl ProcessId {
    /// Returns the id of the calling process.
    pub(crate) fn current() -> Self {
        Self(std::process::id())
    }

    /// Returns the number by which the system names the process.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Returns whether this is the id of the calling process.
    pub(crate) fn is_current(self) -> bool {
        self.0 == std::process::id()
    }

    /// Returns the id of another process than the calling one, such as a parent.
    #[cfg(test)]
    pub(crate) fn other() -> Self {
        Self(std::process::id() + 1)
    }
}
