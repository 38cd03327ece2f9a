//! The Node addon: extracts arguments, calls the core, converts what comes back.
//!
//! Nothing is decided here, and errors cross as plain data: the TypeScript facade in this folder
//! makes exceptions of them and is the only user of this addon.

#![deny(unsafe_code)]

mod authorization;
mod background;
mod custom;
mod events;
mod exit;
mod failure;
mod log;
mod login;
mod manager;
mod options;
mod promise;
mod recovery;
mod shared_word;
mod snapshot;
mod stats;
mod storage;

pub use self::authorization::{MANAGED_API_KEY, NativeRequestAuthorization};
pub use self::background::{NativeFollowStore, NativeKeepFresh};
pub use self::custom::{
    NativeConnection, NativeCustomStore, NativeStoreCall, NativeStoreReply, broken_by,
};
pub use self::events::{NativeEvent, NativeSubscription};
pub use self::exit::{finish, finished, init};
pub use self::failure::{Failure, Outcome};
pub use self::log::{NativeLog, NativeLogField, NativeLogRecord};
pub use self::login::{NativeBrowserLogin, NativeDeviceLogin, NativeLoginOptions};
pub use self::manager::{NativeAuthManager, NativeLogout, NativeStoreHolder, NativeSync};
pub use self::options::NativeOptions;
pub use self::recovery::NativeRecovery;
pub use self::snapshot::{NativeCodexAuth, NativeFields, NativeHeader};
pub use self::stats::NativeStats;
pub use self::storage::NativeEphemeralStorage;
