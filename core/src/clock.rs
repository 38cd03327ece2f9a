//! The rule for time: which access token is usable, due or expired, whatever the clocks of this
//! machine say. It has no I/O and no state: its callers hand in what is known.
//!
//! A machine has two clocks. The wall clock can be wrong by any amount and can be set at any time;
//! the boot clock only goes forward, and means nothing to a server. Each reply of the token
//! endpoint says the time of the server, which gives the [`Skew`]. Each redemption gives a
//! [`Renewal`], whose age the boot clock tells. A [`Timing`] judges a token by both.

mod renewal;
mod skew;
mod timekeeping;
mod timing;
mod token_times;

pub(crate) use self::renewal::Renewal;
pub(crate) use self::skew::Skew;
pub(crate) use self::timekeeping::Timekeeping;
pub(crate) use self::timing::{Freshness, Timing};
pub(crate) use self::token_times::TokenTimes;
