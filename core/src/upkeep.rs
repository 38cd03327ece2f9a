//! Keeping the snapshot fresh and up to date without a request failing first.

mod folder_watch;
mod following;
mod fresh;
mod guardian;

pub use self::following::FollowStore;
pub(crate) use self::fresh::Fresh;
pub use self::guardian::KeepFresh;
