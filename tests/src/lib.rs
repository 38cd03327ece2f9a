//! What the tests of every language share: the issuer they run against, the processes that share
//! a login, and the table that long runs print.

pub mod contender;
pub mod issuer;
pub mod log;
pub mod options;
pub mod program;
pub mod runtimes;
pub mod torture;
pub mod watchdog;
