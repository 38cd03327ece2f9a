//! Programs that are killed or stopped in the middle of an exchange, and what becomes of the login
//! that they share with others. What was lost is decided by the issuer's records ([`Fate`]).

mod crowd;
mod home;
mod kill;
pub mod kills;
mod lanes;
mod processes;
pub mod signal;
mod step;
pub mod stops;
mod trace;

pub use home::{Fate, Home, Server};
pub use processes::rotate;
