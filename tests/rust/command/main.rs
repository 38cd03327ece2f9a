//! The command `codex-auth-sdk`, run as its users run it. It must have been built, and so must the
//! bindings; see `contention.rs`.

mod database;
mod export;
mod launch;
mod manual;
mod relocation;
mod scene;
mod sign_in;
mod status;
mod token;
mod watch;
