//! What the tests of every language share: the issuer they run against, the processes that share
//! a login, and the table that long runs print.

pub mod chance;
#[cfg(target_os = "linux")]
pub mod chromium;
pub mod codex_cli;
pub mod contender;
#[cfg(target_os = "linux")]
pub mod crash;
pub mod endpoint_failure;
#[cfg(target_os = "linux")]
pub mod fleet;
#[cfg(target_os = "linux")]
pub mod foreign;
#[cfg(target_os = "linux")]
pub mod guarded;
#[cfg(unix)]
pub mod hostile;
pub mod issuer;
pub mod log;
pub mod memory_keyring;
pub mod oidc_provider;
pub mod options;
pub mod paused;
#[cfg_attr(not(target_os = "linux"), path = "no_postgres.rs")]
pub mod postgres;
#[cfg(unix)]
pub mod privilege;
pub mod program;
pub mod row;
pub mod runtimes;
#[cfg(target_os = "linux")]
pub mod scenarios;
pub mod session_keyring;
pub mod simulation;
#[cfg(target_os = "linux")]
pub mod store_failure;
pub mod tier;
pub mod torture;
pub mod watchdog;
