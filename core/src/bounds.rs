//! Keeps lists short.

/// Removes the first entries of `list`, so that at most `most` are left.
pub(crate) fn keep_last<T>(list: &mut Vec<T>, most: usize) {
    list.drain(..list.len().saturating_sub(most));
}
