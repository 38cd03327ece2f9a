//! Getting tokens in the place of rejected or expiring ones: one flight for all callers that ask for
//! one thing, one turn with the refresh lock for each flight, and whatever a redemption leads to.

mod admission;
mod attempt;
mod decision;
mod demand;
mod exchange;
mod flights;
mod pause;
mod recovery;
mod refusal;
mod rejection;
mod reply;
mod save;
mod turn;
mod unsaved;

pub use self::decision::{GiveUpReason, UnauthorizedRecoveryDecision};
pub(crate) use self::demand::{Demand, Purpose};
pub(crate) use self::flights::Refresh;
pub(crate) use self::pause::{pause_left, usual_pause};
pub use self::recovery::UnauthorizedRecovery;
