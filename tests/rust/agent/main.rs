//! The agent, and the programs that get access tokens from it. The command must have been built, and
//! so must the bindings; see `contention.rs`.

mod access;
mod clients;
mod hostile;
mod scene;
mod serving;
mod sinks;
mod upkeep;
