//! How much of a test is run: `make test` tries each guarantee at least once, and `make test-all` (or
//! `TESTS=all`) tries it at length.

/// Whether all there is is wanted.
#[must_use]
pub fn is_whole() -> bool {
    std::env::var_os("TESTS").is_some_and(|tests| tests == "all")
}

/// `brief` in `make test`, `whole` in `make test-all`.
#[must_use]
pub fn sized<T>(brief: T, whole: T) -> T {
    if is_whole() { whole } else { brief }
}
