//! Replaces rejected and expiring access tokens.
//!
//! All callers with the same demand share one flight. Each flight takes the refresh lock once, and
//! adopts the tokens of another program or redeems the refresh token and saves the new tokens.

mod admission;
mod attempt;
mod decision;
mod decline;
mod demand;
mod exchange;
mod flights;
mod leftover;
mod origin;
mod pause;
mod recovery;
mod refusal;
mod rejection;
mod repairs;
mod reply;
mod reply_owner;
mod save;
mod turn;
mod unsaved;

pub use self::decision::{GiveUpReason, UnauthorizedRecoveryDecision};
pub(crate) use self::demand::{Demand, Purpose};
pub(crate) use self::flights::Refresh;
pub(crate) use self::pause::{pause_left, usual_pause};
pub use self::recovery::UnauthorizedRecovery;
