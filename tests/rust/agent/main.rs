//! The agent, and the programs that get access tokens from it. The command must have been built, and
//! so must the bindings; see `contention.rs`.

mod access;
mod clients;
mod hostile;
mod logins;
mod memory;
mod page;
mod scene;
mod service_manager;
mod serving;
mod sinks;
mod upkeep;
