//! A login in a row of a PostgreSQL, which the tests start themselves.

#![cfg(target_os = "linux")]

mod announcements;
mod bouncer;
mod claims;
mod clocks;
mod crowd;
mod faults;
mod fleet;
mod scene;
mod schema;
mod sign_ins;
mod statements;
mod store;
