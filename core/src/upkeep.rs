//! Keeps the snapshot fresh and equal to the store, before a request fails.

mod folder_watch;
mod following;
mod fresh;
mod guardian;
mod notifications;

pub use self::following::FollowStore;
pub(crate) use self::fresh::Fresh;
pub use self::guardian::KeepFresh;
