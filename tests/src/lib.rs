//! What the tests of every language share: the issuer they run against.

pub mod issuer;
