//! Lists that stay short.

/// Drops the first of `list` until it has at most so many entries.
pub(crate) fn keep_last<T>(list: &mut Vec<T>, most: usize) {
    list.drain(..list.len().saturating_sub(most));
}
